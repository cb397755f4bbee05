"""A folder from which songs are taken: looked at leniently, and emptied of what was taken.

What cannot be taken (no song, no genre, a link that leads out) stays where it is. A file that has
changed within the last seconds, or that somebody has open for writing, may still be on its way: it
waits for the next time. A file is removed only where a song of the same genre in the collection has
its very content, and a row of the manifest only where nobody has changed it meanwhile.
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
from genre.collection.contents import Contents
from genre.collection.manifest import Row
from genre.collection.sources import Offer
from genre.core.errors import CollectionError
from genre.core.files import write_text

SETTLED_SECONDS = 5.0  # since a file's last change, before it is taken for whole
UNFINISHED = "still being written"


def look(folder: Path) -> Offer:
    """What `folder` offers, without the songs that may still be on their way.

    Those are songs that have changed just now or that a process has open for writing, and all of
    them while that is so of the manifest.
    """
    try:
        offer = sources.look(folder, strict=False)
    except CollectionError:
        if arrives(folder / manifest.MANIFEST, clock(folder), being_written()):
            return Offer(skipped=Counter({UNFINISHED: 1}))
        raise
    now, written = clock(folder), being_written()
    if arrives(folder / manifest.MANIFEST, now, written):
        settled = []
    else:
        settled = [song for song in offer.songs if not arrives(song.file, now, written)]
    if late := len(offer.songs) - len(settled):
        offer.skipped[UNFINISHED] += late
    offer.songs = settled
    return offer


def arrives(file: Path, now: float, written: Container[Path]) -> bool:
    """Whether a file has changed just now, or is among those that are being written."""
    return now - changed(file) < SETTLED_SECONDS or file.resolve() in written


def clock(folder: Path) -> float:
    """The time where `folder` lies, in seconds since the epoch: a share has its own clock."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_ctime
    except OSError:  # nothing can be written there
        return time.time()


def being_written() -> set[Path]:
    """The files that a process of this user on this machine has open for writing."""
    found: set[Path] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            found.update(Path(file.path) for file in process.open_files() if file.mode != "r")
    return found


def newest_change(folder: Path) -> float | None:
    """When a file below `folder` last changed, in seconds since the epoch; null without files."""
    times = [
        changed(Path(parent) / name)
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    ]
    return max(times, default=None)


def changed(file: Path) -> float:
    """When a file was last written to, made or renamed; a copied modification time may lie."""
    try:
        return file.lstat().st_ctime
    except FileNotFoundError:
        return 0.0


def clear(folder: Path, offer: Offer, contents: Contents) -> int:
    """Remove from `folder` what the collection holds, and say how many files that were.

    Rows of songs that are gone leave its manifest, and folders that are empty now go, too.
    """
    taken = set()
    count = 0
    for song in offer.songs:
        with contextlib.suppress(FileNotFoundError):
            twins = contents.twins(song.file)
            if any(path.startswith(f"{song.genre}/") for path in twins):
                song.file.unlink()
                count += 1
                taken.add(song.row["path"] if song.row else None)
                _prune(song.file.parent, folder)
    _shorten(folder, {path: row for path, row in offer.manifest.rows.items() if path in taken})
    return count


def _shorten(folder: Path, taken: Mapping[str, Row]) -> None:
    """Take rows out of the manifest of `folder` as it is by now, where they are what they were."""
    try:
        now = manifest.read(folder)
    except CollectionError:  # it is being written anew
        return
    rows = {path: row for path, row in now.rows.items() if taken.get(path) != row}
    path = folder / manifest.MANIFEST
    if len(rows) == len(now.rows) or path.resolve() in being_written():
        return
    if rows:
        write_text(path, manifest.Manifest(rows, now.columns).text())
    else:
        path.unlink(missing_ok=True)


def _prune(folder: Path, stop: Path) -> None:
    """Remove `folder` and the folders above it that are empty, below `stop`."""
    while folder != stop and folder.is_relative_to(stop):
        try:
            folder.rmdir()
        except OSError:  # something else lies there
            return
        folder = folder.parent
