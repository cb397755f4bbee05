"""Folders for what a command and its children write in passing; the next one sweeps a killed one's.

A folder is in use as long as a process holds the descriptor that came with it (`flock`, which the
system lets go of however a process ends).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "music-genre-"


@contextmanager
def folder() -> Iterator[tuple[Path, int]]:
    """Yield a new folder where the system keeps temporary files, and the descriptor that holds it.

    A child that inherits the descriptor holds the folder too. At the end it is removed with all
    that is in it; so is, before and after, what killed commands left.
    """
    sweep()
    path, handle = _make()
    try:
        yield path, handle
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)
        sweep()


def sweep() -> None:
    """Remove the folders that nobody holds any more."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, another command's, or gone by now
            handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(handle)


def _make() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists():
                return path, handle
            os.close(handle)  # swept before it was held
