"""Run `python ARGUMENTS` as a service: supervisord starts `python -m services.launch ARGUMENTS`.

Before that, it ends processes that a killed predecessor left, such as the child of `mlflow server`
that listens on the port, or a retraining.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from services.supervision import end

if __name__ == "__main__":
    # Sent by `make up`; the runner handles it once it serves.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end(Path(), os.environ["SUPERVISOR_PROCESS_NAME"])
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
