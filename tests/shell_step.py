"""A shell command as a step of a small project: `python shell_step.py COMMAND`.

Like a real step it writes a status file: its last line, or the text after `error: `.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tasks.io import outcomes


def main(command: str) -> int:
    lines: list[str] = []
    outcomes.begin(Path())
    with subprocess.Popen(
        ["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as shell:
        for line in shell.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    code = shell.returncode
    if code < 0:
        os.kill(os.getpid(), -code)
    last = lines[-1].strip() if lines else ""
    error = "".join(lines).rpartition("error: ")[2].strip()
    outcomes.end(Path(), code, summary=last if code == 0 else "", error=error if code else "")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
