"""Locks beside the MLflow store: who writes to it, and whether a training is alive.

They are `fcntl` locks, so the system lets go of them when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK, TRAININGS = "registry.lock", "trainings.lock"
PATIENCE_SECONDS, POLL_SECONDS = 1.0, 0.05  # before a person is told that the store is busy


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the store in this folder, which its writers take in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as handle:
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE_SECONDS:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(POLL_SECONDS)
        else:
            print("waiting for another process that writes to the MLflow store", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def trainings(folder: Path) -> Iterator[None]:
    """Share the lock that says that a training is alive."""
    with (folder / TRAININGS).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def nobody_trains(folder: Path) -> bool:
    """Whether no training is alive that records its run in the store of this folder."""
    with (folder / TRAININGS).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
