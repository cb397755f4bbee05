"""The inbox: a folder whose songs are moved into the collection.

Files that cannot be added (not a song, no genre, a link out of the folder) stay. A file that has
just changed, or that a process has open for writing, is left for the next run. A file is removed
only if a song of the same genre in the collection has the same content, and a row of the manifest
only if it has not changed meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path

import psutil

from genre.collection import manifest, sources
from genre.collection.manifest import Row
from genre.collection.snapshot import Snapshot
from genre.collection.sources import Listing
from genre.core.errors import CollectionError
from genre.core.files import write_text

QUIET_SECONDS = 5.0  # since the last change, before a file counts as complete
UNFINISHED = "still being written"


def list_inbox(folder: Path) -> Listing:
    """List the songs of `folder`, without files that are still being written.

    If the manifest is still being written, no song is listed.
    """
    try:
        listing = sources.list_source(folder, strict=False)
    except CollectionError:
        if is_arriving(folder / manifest.MANIFEST, filesystem_time(folder), open_for_writing()):
            return Listing(skipped=Counter({UNFINISHED: 1}))
        raise
    now, written = filesystem_time(folder), open_for_writing()
    if is_arriving(folder / manifest.MANIFEST, now, written):
        quiet = []
    else:
        quiet = [song for song in listing.songs if not is_arriving(song.file, now, written)]
    if late := len(listing.songs) - len(quiet):
        listing.skipped[UNFINISHED] += late
    listing.songs = quiet
    return listing


def is_arriving(file: Path, now: float, written: Container[Path]) -> bool:
    """Whether a file has just changed, or is in the set `written` of files being written."""
    return now - change_time(file) < QUIET_SECONDS or file.resolve() in written


def filesystem_time(folder: Path) -> float:
    """The time of the file system of `folder` (Unix time): a network share has its own clock."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_ctime
    except OSError:  # read-only
        return time.time()


def open_for_writing() -> set[Path]:
    """The files that processes of this user on this machine have open for writing."""
    found: set[Path] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            found.update(Path(file.path) for file in process.open_files() if file.mode != "r")
    return found


def newest_change(folder: Path) -> float | None:
    """The time of the last change of a file below `folder` (Unix time); None without files."""
    times = [
        change_time(Path(parent) / name)
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    ]
    return max(times, default=None)


def change_time(file: Path) -> float:
    """When a file was last written or renamed (ctime: a copied mtime may be old)."""
    try:
        return file.lstat().st_ctime
    except FileNotFoundError:
        return 0.0


def remove_added(folder: Path, listing: Listing, snapshot: Snapshot) -> int:
    """Remove the files from `folder` that the collection holds; return how many.

    Their rows in its manifest and empty folders are removed, too.
    """
    taken = set()
    count = 0
    for song in listing.songs:
        with contextlib.suppress(FileNotFoundError):
            twins = snapshot.twins(song.file)
            if any(path.startswith(f"{song.genre}/") for path in twins):
                song.file.unlink()
                count += 1
                taken.add(song.row["path"] if song.row else None)
                _remove_empty_folders(song.file.parent, folder)
    _remove_rows(
        folder, {path: row for path, row in listing.manifest.rows.items() if path in taken}
    )
    return count


def _remove_rows(folder: Path, taken: Mapping[str, Row]) -> None:
    """Remove the rows `taken` from the manifest of `folder`, unless they have changed."""
    try:
        now = manifest.read(folder)
    except CollectionError:  # it is being rewritten
        return
    rows = {path: row for path, row in now.rows.items() if taken.get(path) != row}
    path = folder / manifest.MANIFEST
    if len(rows) == len(now.rows) or path.resolve() in open_for_writing():
        return
    if rows:
        write_text(path, manifest.Manifest(rows, now.columns).text())
    else:
        path.unlink(missing_ok=True)


def _remove_empty_folders(folder: Path, stop: Path) -> None:
    """Remove `folder` and its parents below `stop` as far as they are empty."""
    while folder != stop and folder.is_relative_to(stop):
        try:
            folder.rmdir()
        except OSError:  # not empty
            return
        folder = folder.parent
