"""Run the `dvc` beside the running Python, after a repair of what a killed one left.

What steps print is passed on as it comes. DVC reports no progress here, and its warnings and
errors are kept apart, for those who ask why it failed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genre.core.errors import InputError
from runner import processes
from runner.repair import entries, repair
from tasks.io.outcomes import StepError

LOCK_WAIT_SECONDS = 60.0  # how long another DVC command may keep us waiting
LOCK_RETRY_SECONDS = 2.0
PROGRAM = (
    "import logging, sys; logging.disable(logging.INFO); sys.argv[0] = 'dvc'; "
    "from dvc.cli import main; sys.exit(main())"
)
BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")
OTHER = "  (PID "  # begins the line about the command that is in the way
COMPLAINTS = ("WARNING: ", "ERROR: ")
OWN_LINES = (  # how the lines begin that DVC itself prints
    *(*COMPLAINTS, OTHER, "If there are no processes with such PIDs"),
    *("Use `dvc push`", "Data and pipelines are up to date"),
)
NO_REASONS = ("is empty.", "will be skipped due to this failure")  # how other warnings end
NO_ROOM = (
    *("no space left on device", "quota exceeded", "file too large"),
    *("disk is full", "disk i/o error"),
)
REMOTE = "core.remote="  # how `dvc config` names the default remote

Say = Callable[[str], None]


class BusyError(StepError):
    """Another DVC command works in the project and did not finish in time."""


@dataclass(frozen=True)
class Done:
    """A DVC command that has ended: its exit code, its own lines, the entries it changed.

    `relocked` names the steps whose entries in `dvc.lock` are new.
    """

    code: int
    lines: list[str]
    relocked: set[str]

    @property
    def is_busy(self) -> bool:
        """Whether another DVC command kept this one from its work."""
        return self.code != 0 and any(sign in line for line in self.lines for sign in BUSY)

    @property
    def other(self) -> str:
        """The command that was in the way: `(PID 123): dvc repro`."""
        return " ".join(line.strip() for line in self.lines if line.startswith(OTHER))

    @property
    def no_room(self) -> str:
        """What DVC said if there was no room for its cache or database."""
        lines = (line for line in self.lines if any(sign in line.lower() for sign in NO_ROOM))
        return next(lines, "").partition(": ")[2]

    @property
    def complaint(self) -> str:
        """Why DVC failed, as it said."""
        if self.no_room:
            return (
                f"{self.no_room}: DVC's cache or database cannot be written: the disk is full, or "
                "a limit on file sizes reached. Make room, then run the same again"
            )
        told = [line.partition(": ")[2] for line in self.lines if line.startswith(COMPLAINTS)]
        return "; ".join(line for line in told if not line.endswith(NO_REASONS))


def run(
    arguments: list[str],
    root: Path,
    on_line: Say,
    *,
    on_wait: Say | None = None,
    timeout: float | None = None,
    lock_wait: float | None = None,
) -> Done:
    """Run DVC in the project at `root`, again as long as another DVC command is in its way.

    `on_line` gets the lines that are not DVC's own; `on_wait` (or else `on_line`) is told of a
    wait. `timeout` and `lock_wait` are in seconds. Raises `BusyError` after `lock_wait`, and
    `StepTimeoutError` after `timeout`.
    """
    lock_wait = LOCK_WAIT_SECONDS if lock_wait is None else lock_wait
    deadline = time.monotonic() + lock_wait
    while (done := _run_once(arguments, root, on_line, timeout)).is_busy:
        if time.monotonic() >= deadline:
            raise BusyError(
                f"another DVC command works in {root.resolve()} and did not finish within "
                f"{lock_wait:g} s; wait for it, then run the same again {done.other}".rstrip()
            )
        (on_wait or on_line)(f"waiting for another DVC command {done.other}".rstrip())
        time.sleep(LOCK_RETRY_SECONDS)
    return done


def output(
    arguments: list[str], root: Path, on_wait: Say, *, timeout: float | None = None
) -> list[str]:
    """The lines that a DVC command prints; as `run`, but raises `StepError` if it fails."""
    lines: list[str] = []
    done = run(arguments, root, lines.append, on_wait=on_wait, timeout=timeout)
    if done.code != 0:
        raise StepError(f"dvc {' '.join(arguments)}: " + "\n".join([done.complaint, *lines]))
    return lines


def remote(root: Path, on_wait: Say) -> str:
    """The name of the default remote; empty if there is none."""
    settings = output(["config", "--list"], root, on_wait)
    found = [line.removeprefix(REMOTE) for line in settings if line.startswith(REMOTE)]
    return found[-1] if found else ""


def environment() -> dict[str, str]:
    """The environment of DVC and the steps: this Python's programs first, lines at once."""
    here = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{path}",
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _run_once(arguments: list[str], root: Path, on_line: Say, timeout: float | None) -> Done:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, expected a project with a dvc.yaml")
    repair(root)
    before, own = entries(root), list[str]()

    def sort(line: str) -> None:
        if line.startswith(OWN_LINES):
            own.append(line)
        elif line.strip():
            on_line(line)

    # -P: no folder of the project may stand in for one of DVC's packages.
    command = [sys.executable, "-P", "-c", PROGRAM, *arguments]
    code = processes.run(command, cwd=root, env=environment(), on_line=sort, timeout=timeout)
    if code != 0:  # it may have left files half-written, for lack of room
        repair(root)
    relocked = {name for name, entry in entries(root).items() if entry != before.get(name)}
    return Done(code, own, relocked)
