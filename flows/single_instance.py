"""Single-instance lock of the flows `retrain` and `classify` of a project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from genre.core.errors import GenreError
from genre.core.locks import try_lock

RUNNING = "another retraining is running"


class AlreadyRunningError(GenreError):
    """Another run holds the lock."""


@contextmanager
def single_instance(path: Path, message: str = RUNNING) -> Iterator[None]:
    """Lock the file `path` and write the process and time into it.

    Raises `AlreadyRunningError`, with `message`, if another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with try_lock(path) as free:
        if not free:
            holder = path.read_text().strip() or "unknown"
            raise AlreadyRunningError(
                f"{message} ({holder}); skipped: the next run will pick up new songs"
            )
        path.write_text(f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
        yield
