"""Files that are either the old ones or the new ones, never half of each.

A file is written in a temporary folder beside it, flushed to the disk, and renamed over the old
one; a folder is filled under a temporary name. What a killed run leaves begins with
`TEMPORARY_PREFIX`, and the next command that writes there removes it.

Several processes may write the same file at once, and the last one stays. So each locks its
temporary folder (`genre.core.locks`), and locked folders are left alone. A folder of songs or
models has one writer at a time, by DVC's locks, and its temporary folder is not locked.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.core.errors import NoRoomError
from genre.core.locks import locked_folder, remove_if_free

if TYPE_CHECKING:
    import pandas as pd

TEMPORARY_PREFIX = ".incomplete-"
RANDOM = "[a-z0-9_]{8}"  # what `tempfile` makes a name unique by
FOR_A_FILE = re.compile(f"{re.escape(TEMPORARY_PREFIX)}{RANDOM}")  # a folder's has its name, and -
AT_FDCWD = -100
RENAME_EXCHANGE = 2
NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "a limit on the size of files is reached (ulimit -f, or the file system's)",
}
NOT_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)  # no such call, or file system


def sha256_of(content: bytes | Path) -> str:
    """The sha256 of bytes, or of the content of a file, as hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def room_for(path: str | Path | None = None) -> Iterator[None]:
    """Raise `NoRoomError`, naming `path`, where what is done within finds no room to write."""
    try:
        yield
    except (OSError, NoRoomError) as error:
        cause = error.__cause__ if isinstance(error, NoRoomError) else error
        if not isinstance(cause, OSError) or cause.errno not in NO_ROOM:
            raise
        if isinstance(error, NoRoomError) and path is None:
            raise
        where = f"{path}: " if path else f"{cause.filename}: " if cause.filename else ""
        reason = f"{NO_ROOM[cause.errno]} ({os.strerror(cause.errno)})"
        raise NoRoomError(
            f"{where}cannot be written: {reason}; nothing is half-written. Make room, then run the "
            "same again"
        ) from cause


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary file with the suffix of `path`; rename it to `path` on a clean exit.

    The folder of `path` is made where it is missing. On any error the temporary file is removed,
    with what was written beside it, and `path` stays as it was; `NoRoomError` is raised where
    there is no room.
    """
    path = Path(path)
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_files(path.parent.absolute())
        with locked_folder(TEMPORARY_PREFIX, path.parent) as (folder, _):
            # Hidden, also from those who look into hidden folders.
            temporary = folder / f"{TEMPORARY_PREFIX}{path.name}"
            temporary.touch()
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` atomically, as indented JSON with sorted keys; NaN is refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def write_parquet(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` without its index to `path` atomically; the same table gives the same bytes."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; put it in the place of `path` on a clean exit.

    The two change places in one step; where the system cannot, a run killed between two renames
    leaves `path` absent, never half-filled. `NoRoomError` is raised where there is no room.
    """
    path = Path(path)
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        temporary = _new_folder(path)
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if not path.exists():
                temporary.rename(path)
            elif not exchange(temporary, path):
                old = _new_folder(path)
                path.rename(old / path.name)
                temporary.rename(path)
                shutil.rmtree(old)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def link(old: str | Path, new: str | Path) -> None:
    """Give a file a second name; copy it where the file system or the file's owner refuses."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EXDEV, errno.EMLINK, *NOT_HERE):
            raise
        shutil.copy2(old, new, follow_symlinks=False)


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; false where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    names = os.fsencode(one), os.fsencode(other)
    if rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in NOT_HERE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def sweep(path: str | Path) -> None:
    """Remove what killed runs left of an unfinished folder `path`."""
    path = Path(path)
    ours = re.compile(f"{re.escape(_prefix(path))}{RANDOM}")
    for left in path.parent.iterdir():
        if ours.fullmatch(left.name):
            shutil.rmtree(left)


def _new_folder(path: Path) -> Path:
    """A temporary folder to take the place of `path`."""
    return Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))


def _prefix(path: Path) -> str:
    return f"{TEMPORARY_PREFIX}{path.name}-"


@cache
def _sweep_files(parent: Path) -> None:
    """Remove what killed runs left of single files in `parent`, once in the life of a process.

    To list a folder of thousands of files takes as long as to write one into it.
    """
    for left in parent.glob(f"{TEMPORARY_PREFIX}*"):
        if FOR_A_FILE.fullmatch(left.name):
            remove_if_free(left)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
