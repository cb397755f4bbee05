"""Run a command in a process group of its own, and leave nothing of it behind.

However the wait ends (the command finishes, a time-out, Ctrl-C, an exception thrown into the
waiting thread, an error in the main thread), the whole group, grandchildren included, gets
SIGTERM, after a grace period SIGKILL, and is awaited before `run` returns or raises. Should the
waiting process itself be killed, the group's leader (`runner/watchdog.py`) does the same. Temporary
files of the group go to a folder of its own, which goes with it (`runner.temporary`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from genre.core.addresses import hidden
from genre.core.errors import GenreError
from runner import temporary

GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL; Prefect itself kills a cancelled run after 30
POLL_SECONDS = 0.1  # how often a silent wait looks at the clock
BLOCK_BYTES = 1 << 16
WATCHDOG = Path(__file__).with_name("watchdog.py")


class StepTimeoutError(GenreError, TimeoutError):
    """A command ran longer than it may; nothing of it is left."""


class EndedError(GenreError):
    """The run that asked for a command was ended; nothing of the command is left."""


_ending = threading.Event()  # set: every `run` of this process ends its group


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None],
    timeout: float | None = None,
) -> int:
    """Run `command` and return its exit code (128 + the signal if one ended it).

    `on_line` gets each line of its output and errors, without the line's end and without passwords
    in addresses, in the calling thread. `timeout` is in seconds.

    Raises `StepTimeoutError` after `timeout`, and `EndedError` (see `ending_all_on_error`).
    """
    start = time.monotonic()

    def check() -> None:
        if _ending.is_set():
            raise EndedError("ended, because the run was cancelled")
        if timeout is not None and time.monotonic() - start >= timeout:
            raise StepTimeoutError(f"ran longer than {timeout:g} s and was ended")

    check()
    with (
        temporary.folder() as (scratch, held),
        subprocess.Popen(
            [sys.executable, "-I", "-S", WATCHDOG, str(GRACE_SECONDS), *command],
            cwd=cwd,
            env={**(os.environ if env is None else env), "TMPDIR": str(scratch)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[held],  # the folder is held as long as anything of the group lives
        ) as process,
    ):
        try:
            for line in _lines(process, check):
                on_line(hidden(line))
        finally:
            end_processes(lambda: group_members(process.pid), GRACE_SECONDS)
            process.wait()
    return process.returncode


@contextlib.contextmanager
def ending_all_on_error() -> Iterator[None]:
    """Within this, an error or signal in this thread ends the commands of all other threads."""
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
    """Whether that very process still runs; one that nobody has waited for yet does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def end_processes(left: Callable[[], list[psutil.Process]], grace: float) -> None:
    """Send SIGTERM to what `left()` finds, after `grace` seconds SIGKILL, until it finds none."""
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
    """Yield the output line by line, until the command has ended and nothing is left to read.

    `check` is called again and again, and may raise.
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
        elif ended:  # a process left in the background may hold the output open for ever
            break
        else:
            ended = process.poll() is not None
        check()
    if rest:
        yield rest.decode(errors="replace")
    while process.poll() is None:  # it closed its output and works on
        time.sleep(POLL_SECONDS / 10)
        check()
