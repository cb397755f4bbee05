"""Temporary folders that are in use as long as a process holds them; what is left may be removed.

A folder is held by `flock` on a descriptor, which the system lets go of however a process ends. The
folder is held and not a file in it, because a lock on a file may stop those who write to it: SQLite
where the disk is NFS, anybody where it is a Windows share.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def held_folder(prefix: str, parent: Path) -> Iterator[tuple[Path, int]]:
    """Yield a new folder in `parent`, and the descriptor that holds it; the folder goes afterwards.

    A child that inherits the descriptor holds the folder too.
    """
    handle = None
    while handle is None:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        handle = _hold(folder)
    try:
        yield folder, handle
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_unless_held(folder: Path) -> None:
    """Remove what a killed process left; not what is held, another user's, or gone by now."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(handle)


def _hold(folder: Path) -> int | None:
    """The descriptor that holds a new folder; none where another process swept it before."""
    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if folder.exists():
            return handle
        os.close(handle)
    return None
