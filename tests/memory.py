"""How much memory processes take. `ru_maxrss` would count what their parent had when it started."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

POLL_SECONDS = 0.05


def peak(process: int | str = "self") -> int:
    """The most memory that a process has held so far, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) // 1000


class Watch:
    """Looks at a process and all that come of it until it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.megabytes: dict[int, int] = {}
        self._process = process
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def most(self) -> int:
        """The most memory that one of them held, in MB; waits for the end."""
        self._thread.join()
        return max(self.megabytes.values())

    def _look(self) -> None:
        first = psutil.Process(self._process.pid)
        while self._process.poll() is None:
            try:
                for one in (first, *first.children(recursive=True)):
                    self.megabytes[one.pid] = peak(one.pid)
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError, KeyError):
                continue  # one of them has just ended
            time.sleep(POLL_SECONDS)


@contextmanager
def bounded(megabytes: int) -> Iterator[None]:
    """Fail where this process takes more than `megabytes` more than it has now, even briefly."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
    before = peak()
    yield
    assert peak() - before < megabytes
