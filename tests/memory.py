"""Measure the memory of processes (`ru_maxrss` would include that of their parent)."""

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
    """The peak memory of a process, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) // 1000


class Watch:
    """Measures a process and its descendants until it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.megabytes: dict[int, int] = {}
        self._process = process
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def most(self) -> int:
        """The peak memory of one of them, in MB; waits for the end."""
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
    """Fail if this process allocates more than `megabytes`, even briefly."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = peak()
    yield
    assert peak() - before < megabytes
