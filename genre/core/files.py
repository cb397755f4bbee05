"""Atomic writes of files and folders, sha256, and a guard for a full disk.

A file is written in a temporary folder beside it, flushed, and renamed over the old one; a folder
is filled under a temporary name. Names of temporary folders begin with `TEMPORARY_PREFIX`; those
that a killed run left are removed by the next write to the same place.

Several processes may write the same file at once; the last one wins. Their temporary folders are
locked (`genre.core.locks`), so that no other process removes them. Temporary folders of
`atomic_folder` are not locked: by DVC's locks a step's output has one writer.
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

from genre.core.errors import DiskFullError
from genre.core.locks import locked_folder, remove_if_unlocked

if TYPE_CHECKING:
    import pandas as pd

TEMPORARY_PREFIX = ".incomplete-"
RANDOM = "[a-z0-9_]{8}"  # how `tempfile` ends names
FOR_A_FILE = re.compile(f"{re.escape(TEMPORARY_PREFIX)}{RANDOM}")  # of a folder: its name, and -
AT_FDCWD = -100
RENAME_EXCHANGE = 2
DISK_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of the disk is used up",
    errno.EFBIG: "a limit on the size of files is reached (ulimit -f, or the file system's)",
}
UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)  # by system or file system


def sha256_of(content: bytes | Path) -> str:
    """Return the sha256 of bytes, or of a file, as hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def disk_space_guard(path: str | Path | None = None) -> Iterator[None]:
    """Raise `DiskFullError`, with `path`, if the body fails because the disk is full."""
    try:
        yield
    except (OSError, DiskFullError) as error:
        cause = error.__cause__ if isinstance(error, DiskFullError) else error
        if not isinstance(cause, OSError) or cause.errno not in DISK_FULL:
            raise
        if isinstance(error, DiskFullError) and path is None:
            raise
        where = f"{path}: " if path else f"{cause.filename}: " if cause.filename else ""
        reason = f"{DISK_FULL[cause.errno]} ({os.strerror(cause.errno)})"
        raise DiskFullError(
            f"{where}cannot be written: {reason}; no file is half-written. Free some space, then "
            "run the same command again"
        ) from cause


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary file with the suffix of `path`; rename it to `path` on a clean exit.

    The parent folder is created if it is missing. On an error the temporary file is removed, with
    what was written beside it, and `path` is unchanged. Raises `DiskFullError`.
    """
    path = Path(path)
    with disk_space_guard(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_file_leftovers(path.parent.absolute())
        with locked_folder(TEMPORARY_PREFIX, path.parent) as (folder, _):
            # Hidden, also inside the hidden folder.
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
    """Write `value` to `path` atomically, as indented, sorted JSON; NaN raises `ValueError`."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def write_parquet(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` without its index to `path` atomically; equal tables give equal bytes."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; replace `path` by it on a clean exit.

    The two are exchanged in one system call. If the system has none, a run killed between two
    renames leaves `path` missing, never half-filled. Raises `DiskFullError`.
    """
    path = Path(path)
    with disk_space_guard(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
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
    """Make a hard link `new` to `old`, or a copy if the file system or owner refuses links."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EXDEV, errno.EMLINK, *UNSUPPORTED):
            raise
        shutil.copy2(old, new, follow_symlinks=False)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one system call; return False if the system has none."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    names = os.fsencode(one), os.fsencode(other)
    if rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))


def remove_leftovers(path: str | Path) -> None:
    """Remove the temporary folders for `path` that killed runs left."""
    path = Path(path)
    ours = re.compile(f"{re.escape(_prefix(path))}{RANDOM}")
    for left in path.parent.iterdir():
        if ours.fullmatch(left.name):
            shutil.rmtree(left)


def _new_folder(path: Path) -> Path:
    """Make a temporary folder that will replace `path`."""
    return Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))


def _prefix(path: Path) -> str:
    return f"{TEMPORARY_PREFIX}{path.name}-"


@cache
def _remove_file_leftovers(parent: Path) -> None:
    """Remove temporary folders of single files that killed runs left in `parent`.

    Once a process: listing a folder of thousands of files takes as long as writing a file.
    """
    for left in parent.glob(f"{TEMPORARY_PREFIX}*"):
        if FOR_A_FILE.fullmatch(left.name):
            remove_if_unlocked(left)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
