"""Locks between processes, which the system releases when a process ends or is killed.

A temporary folder is locked while it is in use; an unlocked one was left by a killed process and
may be removed. The folder itself is locked and not a file in it, because a lock on a file may block
those who write to it (SQLite on NFS, any program on a Windows share).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to lock the file `path`; yield False if another process holds the lock."""
    from filelock import FileLock, Timeout

    try:
        lock = FileLock(path).acquire(blocking=False)
    except Timeout:
        yield False
        return
    with lock:
        yield True


@contextmanager
def locked_folder(prefix: str, parent: Path) -> Iterator[tuple[Path, int]]:
    """Yield a new folder in `parent` and the descriptor that locks it; remove it afterwards.

    A child that inherits the descriptor keeps the folder locked.
    """
    handle = None
    while handle is None:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        handle = _lock(folder)
    try:
        yield folder, handle
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_if_unlocked(folder: Path) -> None:
    """Remove a folder unless it is locked or belongs to another user."""
    from filelock import lock_descriptor

    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if lock_descriptor(handle, blocking=False):
                shutil.rmtree(folder)
        finally:
            os.close(handle)


def _lock(folder: Path) -> int | None:
    """Lock a new folder; return the descriptor, or None if another process has removed it."""
    from filelock import lock_descriptor

    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        lock_descriptor(handle)
        if folder.exists():
            return handle
        os.close(handle)
    return None
