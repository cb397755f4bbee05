"""Watchdog: run a command as leader of a process group, and end the group if the parent dies.

`runner.processes` starts this file (standard library only) as the leader of a new session, with a
pipe as stdin whose other end only the parent holds. If the parent dies, even by `kill -9`, the pipe
closes; then the group gets SIGTERM and, after a grace period, SIGKILL.

    python watchdog.py GRACE_SECONDS COMMAND [ARGUMENT …]
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code (128 + the signal that killed it)."""
    grace_seconds, command = float(arguments[0]), arguments[1:]
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    # Handlers, not SIG_IGN, which the command would inherit. SIGTERM is for the command: the
    # watchdog waits for it, so that the group keeps its leader.
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 64)
        if sys.stdin.fileno() in ready:
            end_group(child, grace_seconds)
    code = child.returncode
    return code if code >= 0 else 128 - code


def end_group(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End all processes of this group, the watchdog last."""
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(grace_seconds)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
