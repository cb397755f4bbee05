"""A folder from which songs are taken: looked at leniently, and emptied of what was taken.

What cannot be taken (no song, no genre, a link that leads out) stays where it is. A file that has
changed within the last seconds may still be on its way: it waits for the next time. A file is
removed only where a song of the same genre in the collection has its very content.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from genre.collection import manifest, sources
from genre.collection.contents import Contents
from genre.collection.sources import Offer
from genre.files import write_text

SETTLED_SECONDS = 5.0  # since a file's last change, before it is taken for whole
UNFINISHED = "still being written"


def look(folder: Path) -> Offer:
    """What `folder` offers, without the songs that have changed just now."""
    offer = sources.look(folder, strict=False)
    now = time.time()
    settled = [song for song in offer.songs if now - changed(song.file) >= SETTLED_SECONDS]
    if late := len(offer.songs) - len(settled):
        offer.skipped[UNFINISHED] += late
    offer.songs = settled
    return offer


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
    rows = {path: row for path, row in offer.manifest.rows.items() if path not in taken}
    if len(rows) < len(offer.manifest.rows):
        path = folder / manifest.MANIFEST
        if rows:
            write_text(path, manifest.Manifest(rows, offer.manifest.columns).text())
        else:
            path.unlink(missing_ok=True)
    return count


def _prune(folder: Path, stop: Path) -> None:
    """Remove `folder` and the folders above it that are empty, below `stop`."""
    while folder != stop and folder.is_relative_to(stop):
        try:
            folder.rmdir()
        except OSError:  # something else lies there
            return
        folder = folder.parent
