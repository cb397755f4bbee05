"""Change the collection in one step: a new tree is built beside it, then the two are exchanged.

The new tree holds hard links to the songs that stay (copies where links are refused) and copies
of the new ones. The exchange is one system call on Linux (`renameat2` with `RENAME_EXCHANGE`);
elsewhere it is two renames, and a command that finds only the first of them done undoes it. So a
command that is killed at any moment leaves the collection as it was, or as it was to be; what else
it left is removed by the next one. One command at a time holds the lock.
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

from genre.collection import readers
from genre.collection.contents import RAW
from genre.collection.manifest import MANIFEST
from genre.core.errors import CollectionError, GenreError
from genre.core.files import NO_ROOM, TEMPORARY_PREFIX, exchange, link, room_for
from genre.core.progress import progress

LOCK = ".collection.lock"
STAGING_PREFIX = f"{TEMPORARY_PREFIX}collection-"
PREVIOUS = f"{TEMPORARY_PREFIX}previous-collection"


@dataclass
class Change:
    """What the new tree holds: every path relative to it, posix.

    `keep` maps the paths of songs in the old tree to their new paths; `take` maps files to the
    paths of their copies; `move` does the same with files that may be moved, since they are ours.
    `manifest` is the text of the new manifest, null for none.
    """

    keep: Mapping[str, str] = field(default_factory=dict)
    take: Mapping[Path, str] = field(default_factory=dict)
    move: Mapping[Path, str] = field(default_factory=dict)
    manifest: str | None = None


@contextmanager
def exclusive(raw: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """Hold the collection at `raw`; yields an empty folder beside it for what is being built.

    Waits, and says so, while another command holds it. What killed commands left is removed, and
    an exchange that one of them did not finish is undone. The folder is removed at the end.
    """
    with _lock(raw.parent, say):
        beside = raw.resolve().parent  # data/raw may be a link to another disk
        _recover(raw.resolve())
        for left in beside.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(left)
        staging = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=beside))
        try:
            with room_for(raw):
                yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _lock(folder: Path, say: Callable[[str], None]) -> AbstractContextManager[object]:
    """The lock of the collection in `folder`, acquired."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            say("Waiting for another command that changes the collection …")
            return lock.acquire()
    except OSError as error:
        raise GenreError(f"{folder}: cannot be written to ({error})") from error


def apply(raw: Path, change: Change, staging: Path, say: Callable[[str], None]) -> None:
    """Put the collection that `change` describes in the place of `raw`; `staging` is ours.

    Waits, and says so, while a step reads the collection.

    Raises `CollectionError` where a file cannot be read and `GenreError` where the disk is full
    or the folders cannot be exchanged; the collection is then as it was.
    """
    root = raw.absolute().parents[len(RAW.parts) - 1]
    raw = raw.resolve()
    tree = staging / "raw"
    tree.mkdir()
    made = {tree}
    try:
        for old, new in change.keep.items():
            link(raw / old, _in_folder(tree / new, made))
        copying = progress(change.take.items(), total=len(change.take), what="copying")
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
        with readers.held_off(root / RAW, root, say):
            put_in_place(tree, raw)
    except OSError as error:
        if error.errno in NO_ROOM:  # `exclusive` says so
            raise
        raise GenreError(f"{raw}: cannot be changed ({error}); it is as it was") from error


def put_in_place(tree: Path, raw: Path) -> None:
    """Exchange `tree` and `raw`, or move `tree` there where there is no `raw`."""
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
    """Finish or undo an exchange by two renames that was cut short."""
    previous = raw.with_name(PREVIOUS)
    if previous.exists():
        if raw.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(raw)


def _in_folder(path: Path, made: set[Path]) -> Path:
    """`path`, its folder made; `made` remembers which are."""
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
    """Wait until the disk has the file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
