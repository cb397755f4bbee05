"""One retraining at a time in a project, and one that answers songs, whoever starts it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from genre.core.errors import GenreError
from genre.core.locks import lock_if_free

AT_WORK = "another retraining works here"


class AtWorkError(GenreError):
    """Another run holds the lock."""


@contextmanager
def alone(path: Path, said: str = AT_WORK) -> Iterator[None]:
    """Lock the file `path` and write into it which process did.

    Raises `AtWorkError`, which begins with `said`, if another process has locked it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_if_free(path) as free:
        if not free:
            holder = path.read_text().strip() or "unknown"
            raise AtWorkError(f"{said} ({holder}); skipped: the next run will pick up new songs")
        path.write_text(f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
        yield
