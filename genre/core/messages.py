"""Commands in messages, written so that they can be pasted into a shell as they are."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

OWN = ("genre", "dvc", "mlflow", "prefect", "python")  # installed beside the running Python


def command(text: str, **environment: str) -> str:
    """`text` with the path of its program, as it runs from the current folder.

    `genre models` becomes `.venv/bin/genre models`. A program that is not one of `OWN`, such as
    `make`, is on everybody's path and stays as it is. `environment` is set for the command alone.
    """
    program, space, rest = text.partition(" ")
    if program in OWN:
        path = Path(sys.executable).parent / program
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        program = shlex.quote(str(path))
    settings = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return " ".join([*settings, f"{program}{space}{rest}"])


def run_step(stage: str, when: str = "first") -> str:
    """What to type for one step of `dvc.yaml`: `run the step trim first (dvc repro trim)`."""
    return f"run the step {stage} {when} ({command(f'dvc repro {stage}')})"


def printable(text: str) -> str:
    """`text` as it may be shown on a terminal: file names may hold anything."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
