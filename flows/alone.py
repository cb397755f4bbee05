"""One retraining at a time in a project, and one that answers songs, whoever starts it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from genre.errors import GenreError

AT_WORK = "another retraining works here"


class AtWorkError(GenreError):
    """Another run holds the lock."""


@contextmanager
def alone(path: Path, said: str = AT_WORK) -> Iterator[None]:
    """Hold the lock file at `path`, which says who does; a process that dies lets go of it.

    Raises `AtWorkError`, which begins with `said`, where another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise AtWorkError(
                f"{said} ({holder}); skipped: the next run will pick up new songs"
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
        lock.flush()
        yield
