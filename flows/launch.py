"""Become a service of `.services/services.json`: supervisord runs `python -m flows.launch NAME`.

First it ends what a killed predecessor left, such as the child of `mlflow server` that listens on
the port, or a retraining.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from flows import SERVICES
from flows.daemons import end_marked
from flows.records import PLAN, read_plan
from tasks.cli import BAD_INPUT


def launch(name: str) -> NoReturn:
    """Replace this process by the service of this name."""
    service = {service.name: service for service in read_plan()}.get(name)
    if service is None:
        print(f"error: {SERVICES / PLAN}: no service {name}; run make up", file=sys.stderr)
        sys.exit(BAD_INPUT)
    end_marked(Path(), name)
    os.execve(service.command[0], service.command, {**os.environ, **service.environment})


if __name__ == "__main__":
    launch(sys.argv[1])
