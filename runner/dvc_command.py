"""Run the `dvc` of this Python's environment, after repairing what a killed one left.

Output of the steps is passed on line by line; DVC's own warnings and errors are collected.
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

LOCK_WAIT_SECONDS = 60.0  # the longest wait for another DVC command
LOCK_RETRY_SECONDS = 2.0
PROGRAM = (
    "import logging, sys; logging.disable(logging.INFO); sys.argv[0] = 'dvc'; "
    "from dvc.cli import main; sys.exit(main())"
)
BUSY_MESSAGES = ("Unable to acquire lock", "is busy, it is being blocked by")
BLOCKER_PREFIX = "  (PID "  # prefix of the line about the blocking command
ERROR_PREFIXES = ("WARNING: ", "ERROR: ")
DVC_PREFIXES = (  # prefixes of DVC's own lines
    *(*ERROR_PREFIXES, BLOCKER_PREFIX, "If there are no processes with such PIDs"),
    *("Use `dvc push`", "Data and pipelines are up to date"),
)
# Suffixes of warnings that follow from another one.
FOLLOW_UPS = ("is empty.", "will be skipped due to this failure")
DISK_FULL = (
    *("no space left on device", "quota exceeded", "file too large"),
    *("disk is full", "disk i/o error"),
)
REMOTE = "core.remote="  # in the output of `dvc config`

LogLine = Callable[[str], None]


class BusyError(StepError):
    """Another DVC command ran in the project and did not finish in time."""


@dataclass(frozen=True)
class CommandResult:
    """The exit code of a DVC command, DVC's own lines, and changed entries of `dvc.lock`.

    `relocked` holds the addresses of steps with a new entry in `dvc.lock`.
    """

    code: int
    lines: list[str]
    relocked: set[str]

    @property
    def is_busy(self) -> bool:
        """Whether another DVC command blocked this one."""
        return self.code != 0 and any(sign in line for line in self.lines for sign in BUSY_MESSAGES)

    @property
    def blocking_command(self) -> str:
        """The blocking command: `(PID 123): dvc repro`."""
        return " ".join(line.strip() for line in self.lines if line.startswith(BLOCKER_PREFIX))

    @property
    def disk_full(self) -> str:
        """DVC's message if the disk was full; else empty."""
        lines = (line for line in self.lines if any(sign in line.lower() for sign in DISK_FULL))
        return next(lines, "").partition(": ")[2]

    @property
    def error_message(self) -> str:
        """DVC's messages about the failure, in a line."""
        if self.disk_full:
            return (
                f"{self.disk_full}: DVC cannot write its cache or database: the disk is full, or a "
                "limit on file sizes is reached. Free some space, then run the same command again"
            )
        messages = [
            line.partition(": ")[2] for line in self.lines if line.startswith(ERROR_PREFIXES)
        ]
        return "; ".join(line for line in messages if not line.endswith(FOLLOW_UPS))


def run(
    arguments: list[str],
    root: Path,
    on_line: LogLine,
    *,
    on_wait: LogLine | None = None,
    timeout: float | None = None,
    lock_wait: float | None = None,
) -> CommandResult:
    """Run DVC in the project at `root`; retry while another DVC command blocks it.

    `on_line` gets the lines of the steps; `on_wait` (default: `on_line`) a line when it waits.
    `timeout` and `lock_wait` are in seconds. Raises `BusyError` after `lock_wait`, and
    `StepTimeoutError` after `timeout`.
    """
    lock_wait = LOCK_WAIT_SECONDS if lock_wait is None else lock_wait
    deadline = time.monotonic() + lock_wait
    while (done := _run_once(arguments, root, on_line, timeout)).is_busy:
        if time.monotonic() >= deadline:
            raise BusyError(
                f"another DVC command runs in {root.resolve()} and did not finish within "
                f"{lock_wait:g} s; wait for it, then try again {done.blocking_command}".rstrip()
            )
        (on_wait or on_line)(f"waiting for another DVC command {done.blocking_command}".rstrip())
        time.sleep(LOCK_RETRY_SECONDS)
    return done


def output(
    arguments: list[str], root: Path, on_wait: LogLine, *, timeout: float | None = None
) -> list[str]:
    """Return the lines that a DVC command prints. Raises `StepError` if it fails; else as `run`."""
    lines: list[str] = []
    done = run(arguments, root, lines.append, on_wait=on_wait, timeout=timeout)
    if done.code != 0:
        raise StepError(f"dvc {' '.join(arguments)}: " + "\n".join([done.error_message, *lines]))
    return lines


def remote(root: Path, on_wait: LogLine) -> str:
    """Return the name of the default remote; empty if there is none."""
    settings = output(["config", "--list"], root, on_wait)
    found = [line.removeprefix(REMOTE) for line in settings if line.startswith(REMOTE)]
    return found[-1] if found else ""


def environment() -> dict[str, str]:
    """The environment of DVC and the steps: this Python first on the PATH, output unbuffered."""
    here = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{path}",
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _run_once(
    arguments: list[str], root: Path, on_line: LogLine, timeout: float | None
) -> CommandResult:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, expected a project with a dvc.yaml")
    repair(root)
    before, own = entries(root), list[str]()

    def sort(line: str) -> None:
        if line.startswith(DVC_PREFIXES):
            own.append(line)
        elif line.strip():
            on_line(line)

    # -P: do not import DVC's packages from the project's folder.
    command = [sys.executable, "-P", "-c", PROGRAM, *arguments]
    code = processes.run(command, cwd=root, env=environment(), on_line=sort, timeout=timeout)
    if code != 0:  # it may have left incomplete files (disk full)
        repair(root)
    relocked = {name for name, entry in entries(root).items() if entry != before.get(name)}
    return CommandResult(code, own, relocked)
