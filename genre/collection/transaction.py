"""Change the collection atomically: build a new tree beside it, then exchange the two.

The new tree holds hard links to the songs that stay (or copies, if links are refused) and copies of
new songs. The exchange is one system call on Linux (`renameat2` with `RENAME_EXCHANGE`), elsewhere
two renames, of which the next command undoes a first one without the second. So a killed command
leaves the old or the new collection; its temporary files are removed by the next one. A lock admits
one command at a time.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from genre.collection import dvc_lock
from genre.collection.manifest import MANIFEST
from genre.collection.snapshot import RAW
from genre.core.errors import CollectionError, GenreError
from genre.core.files import DISK_FULL, TEMPORARY_PREFIX, disk_space_guard, exchange, link
from genre.core.progress import progress

LOCK = ".collection.lock"
STAGING_PREFIX = f"{TEMPORARY_PREFIX}collection-"
PREVIOUS = f"{TEMPORARY_PREFIX}previous-collection"


@dataclass
class Change:
    """The content of the new tree, with paths relative to it, posix.

    `keep` maps old paths to new paths; `copy` maps files outside the collection to new paths, and
    `move` files that may be moved (temporary ones). `manifest` is the new manifest, None for none.
    """

    keep: Mapping[str, str] = field(default_factory=dict)
    copy: Mapping[Path, str] = field(default_factory=dict)
    move: Mapping[Path, str] = field(default_factory=dict)
    manifest: str | None = None


@contextmanager
def exclusive(raw: Path, log: Callable[[str], None]) -> Iterator[Path]:
    """Lock the collection at `raw`; yield an empty folder beside it for the new tree.

    Waits, and logs it, while another command holds the lock. Removes temporary files of killed
    commands and undoes an unfinished exchange. The folder is removed at the end.
    """
    with _lock(raw.parent, log):
        beside = raw.resolve().parent  # data/raw may be a link to another disk
        _recover(raw.resolve())
        for left in beside.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(left)
        staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=beside))
        try:
            with disk_space_guard(raw):
                yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _lock(folder: Path, log: Callable[[str], None]) -> AbstractContextManager[object]:
    """Acquire the lock of the collection in `folder`."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            log("Waiting for another command that changes the collection …")
            return lock.acquire()
    except OSError as error:
        raise GenreError(f"{folder}: cannot be written to ({error})") from error


def apply(raw: Path, change: Change, staging: Path, log: Callable[[str], None]) -> None:
    """Build the collection that `change` describes in `staging` and replace `raw` by it.

    Waits, and logs it, while a step reads the collection. Raises `CollectionError` if a file cannot
    be read and `GenreError` if the disk is full or the folders cannot be exchanged; the collection
    is then unchanged.
    """
    root = raw.absolute().parents[len(RAW.parts) - 1]
    raw = raw.resolve()
    tree = staging / "raw"
    tree.mkdir()
    made = {tree}
    try:
        for old, new in change.keep.items():
            link(raw / old, _in_folder(tree / new, made))
        copying = progress(change.copy.items(), total=len(change.copy), what="copying")
        for file, new in copying:
            _copy(file, _in_folder(tree / new, made))
        for file, new in change.move.items():
            file.rename(_in_folder(tree / new, made))
            _flush(tree / new)
        if change.manifest is not None:
            (tree / MANIFEST).write_text(change.manifest, encoding="utf-8")
            _flush(tree / MANIFEST)
        for folder in made:
            _flush(folder)
        with dvc_lock.without_dvc_access(root / RAW, root, log):
            replace_collection(tree, raw)
    except OSError as error:
        if error.errno in DISK_FULL:  # handled by `exclusive`
            raise
        raise GenreError(f"{raw}: cannot be changed ({error}); it is unchanged") from error


def replace_collection(tree: Path, raw: Path) -> None:
    """Exchange `tree` and `raw`, or rename `tree` if there is no `raw`."""
    if not raw.exists():
        tree.rename(raw)
    elif not exchange(tree, raw):
        previous = raw.with_name(PREVIOUS)
        raw.rename(previous)
        try:
            tree.rename(raw)
        except OSError:
            previous.rename(raw)
            raise
        shutil.rmtree(previous)
    _flush(raw.parent)


def _recover(raw: Path) -> None:
    """Finish or undo an interrupted exchange by two renames."""
    previous = raw.with_name(PREVIOUS)
    if previous.exists():
        if raw.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(raw)


def _in_folder(path: Path, made: set[Path]) -> Path:
    """Return `path` after creating its folder; `made` holds the existing ones."""
    if path.parent not in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.add(path.parent)
    return path


def _copy(file: Path, new: Path) -> None:
    try:
        with file.open("rb") as source, new.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ENOENT) and not os.access(
            file, os.R_OK
        ):
            raise CollectionError(f"{file}: cannot be read ({error.strerror})") from error
        raise


def _flush(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
