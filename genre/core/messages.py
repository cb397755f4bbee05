"""Text for users: commands to copy into a shell, and printable file names."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

PROGRAMS = ("genre", "dvc", "mlflow", "prefect", "python")  # installed beside this Python


def command(text: str, **environment: str) -> str:
    """Return a command with the path of its program, to be run from the current folder.

    `genre models` becomes `.venv/bin/genre models`. Programs other than `PROGRAMS`, such as `make`,
    are expected on the PATH. `environment` variables are set in front of the command.
    """
    program, space, rest = text.partition(" ")
    if program in PROGRAMS:
        path = Path(sys.executable).parent / program
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        program = shlex.quote(str(path))
    settings = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return " ".join([*settings, f"{program}{space}{rest}"])


def run_step(stage: str, when: str = "first") -> str:
    """Return `run the step trim first (dvc repro trim)` for a step of `dvc.yaml`."""
    return f"run the step {stage} {when} ({command(f'dvc repro {stage}')})"


def printable(text: str) -> str:
    """Escape the unprintable characters of `text` (a file name, say) for a terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
