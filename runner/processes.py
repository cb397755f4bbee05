"""Run a command in a process group of its own, and end the whole group with it.

However the wait ends (the command finishes, a time-out, Ctrl-C, an exception in this thread or the
main thread), all processes of the group, grandchildren included, get SIGTERM and after a grace
period SIGKILL before `run` returns or raises. If the waiting process itself is killed, the leader
of the group (`runner/watchdog.py`) does the same. The group has its own temporary folder, which is
removed with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from genre.core.errors import GenreError
from genre.core.locks import locked_folder, remove_if_unlocked
from genre.core.urls import redact

GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL; Prefect itself kills a cancelled run after 30
POLL_SECONDS = 0.1  # between checks of the time-out
BLOCK_BYTES = 1 << 16
TEMPORARY_PREFIX = "music-genre-"
WATCHDOG = Path(__file__).with_name("watchdog.py")


class StepTimeoutError(GenreError, TimeoutError):
    """A command exceeded its time-out; its process group was ended."""


class EndedError(GenreError):
    """The run was cancelled; the process group of its command was ended."""


_ending = threading.Event()  # set: every `run` of this process ends its group


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None],
    timeout: float | None = None,
) -> int:
    """Run `command` and return its exit code (128 + the signal that killed it).

    `on_line` gets each line of stdout and stderr, redacted, in the calling thread. `timeout` is in
    seconds.

    Raises `StepTimeoutError` after `timeout`, and `EndedError` (see `end_commands_on_error`).
    """
    start = time.monotonic()

    def check() -> None:
        if _ending.is_set():
            raise EndedError("ended, because the run was cancelled")
        if timeout is not None and time.monotonic() - start >= timeout:
            raise StepTimeoutError(f"ran longer than {timeout:g} s and was ended")

    check()
    with (
        temporary_folder() as (folder, lock),
        subprocess.Popen(
            [sys.executable, "-I", "-S", WATCHDOG, str(GRACE_SECONDS), *command],
            cwd=cwd,
            env={**(os.environ if env is None else env), "TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],  # the folder stays locked while a process of the group lives
        ) as process,
    ):
        try:
            for line in _lines(process, check):
                on_line(redact(line))
        finally:
            end_processes(lambda: group_members(process.pid), GRACE_SECONDS)
            process.wait()
    return process.returncode


@contextlib.contextmanager
def temporary_folder() -> Iterator[tuple[Path, int]]:
    """Yield a temporary folder and the descriptor that locks it; remove it at the end.

    A child that inherits the descriptor keeps the folder locked. Unlocked folders, which killed
    commands left, are removed before and after.
    """
    remove_unlocked_folders()
    try:
        with locked_folder(TEMPORARY_PREFIX, Path(tempfile.gettempdir())) as folder_and_lock:
            yield folder_and_lock
    finally:
        remove_unlocked_folders()


def remove_unlocked_folders() -> None:
    """Remove the temporary folders that no process has locked."""
    for folder in Path(tempfile.gettempdir()).glob(f"{TEMPORARY_PREFIX}*"):
        remove_if_unlocked(folder)


@contextlib.contextmanager
def end_commands_on_error() -> Iterator[None]:
    """If the body raises, end the commands of all threads of this process."""
    _ending.clear()
    try:
        yield
    except BaseException:
        _ending.set()
        raise


def group_members(group: int) -> list[psutil.Process]:
    """The living processes of a process group."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and is_alive(process):
                members.append(process)
    return members


def is_alive(process: psutil.Process) -> bool:
    """Whether this process still runs and is not a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def end_processes(left: Callable[[], list[psutil.Process]], grace: float) -> None:
    """Send SIGTERM to the processes that `left()` returns, after `grace` seconds SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in left():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + grace
        while left():
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_SECONDS / 10)


def _lines(process: subprocess.Popen[bytes], check: Callable[[], None]) -> Iterator[str]:
    """Yield the output line by line until the command has ended and all is read.

    `check` is called repeatedly, and may raise.
    """
    assert process.stdout is not None
    handle, rest, ended = process.stdout.fileno(), b"", False
    output = select.poll()
    output.register(handle, select.POLLIN)
    while True:
        if output.poll(0 if ended else 1000 * POLL_SECONDS):
            block = os.read(handle, BLOCK_BYTES)
            if not block:
                break
            *lines, rest = (rest + block).split(b"\n")
            yield from (line.decode(errors="replace").rstrip("\r") for line in lines)
        elif ended:  # a background process may keep the output open
            break
        else:
            ended = process.poll() is not None
        check()
    if rest:
        yield rest.decode(errors="replace")
    while process.poll() is None:  # it closed its output and still runs
        time.sleep(POLL_SECONDS / 10)
        check()
