"""Remove songs from the collection, or move them to another genre."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genre.collection import moved_songs, transaction
from genre.collection.manifest import Manifest
from genre.collection.snapshot import RAW, Names, Snapshot
from genre.collection.sources import valid_genre
from genre.collection.transaction import Change
from genre.core.errors import CollectionError

TRACK_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Relabelled:
    """What `relabel` did; paths are relative to the collection."""

    moved: tuple[tuple[str, str], ...]
    unchanged: int  # songs that already had that genre


def remove(
    songs: Sequence[str], root: Path = Path(), *, log: Callable[[str], None] = print
) -> list[str]:
    """Remove songs from the collection of the project at `root`; return their paths, sorted.

    A song is given by its path in the collection, its path from the current folder, or its
    `track_id`; a folder stands for all songs in it. Raises `CollectionError` if any is unknown;
    nothing is then changed.
    """
    raw = root / RAW
    with transaction.exclusive(raw, log) as staging:
        snapshot = Snapshot(raw)
        gone = set(_found(songs, snapshot))
        keep = {path: path for path in snapshot.files if path not in gone}
        transaction.apply(raw, _change(keep, snapshot), staging, log)
    return sorted(gone)


def relabel(
    songs: Sequence[str], genre: str, root: Path = Path(), *, log: Callable[[str], None] = print
) -> Relabelled:
    """Move songs, given as for `remove`, to `genre`.

    A song is renamed if its path is taken. Raises `CollectionError` if a song is unknown or `genre`
    is not a valid folder name; nothing is then changed.
    """
    valid_genre(genre)
    raw = root / RAW
    with transaction.exclusive(raw, log) as staging:
        snapshot = Snapshot(raw)
        chosen = sorted(set(_found(songs, snapshot)))
        moving = [path for path in chosen if path.partition("/")[0] != genre]
        keep = {path: path for path in snapshot.files if path not in moving}
        names = Names(keep)
        for path in moving:
            keep[path] = names.reserve(f"{genre}/{path.partition('/')[2]}", raw / path)
        if moving:
            transaction.apply(raw, _change(keep, snapshot), staging, log)
    return Relabelled(tuple((path, keep[path]) for path in moving), len(chosen) - len(moving))


def update_moved_songs(root: Path, *, log: Callable[[str], None] = print) -> None:
    """Update the paths in the manifest of songs that were moved manually since the last run.

    A collection that cannot be read is left unchanged: the step ingest reports the error.
    """
    raw = root / RAW
    with suppress(CollectionError):
        if not raw.is_dir() or not Snapshot(raw).moved:
            return
        with transaction.exclusive(raw, log) as staging:
            snapshot = Snapshot(raw)
            manifest = snapshot.manifest
            if snapshot.moved_rows:
                keep = {path: path for path in snapshot.files}
                transaction.apply(raw, Change(keep=keep, manifest=manifest.text()), staging, log)
        moved, before = snapshot.moved, snapshot.known_paths
        for line in moved_songs.describe(moved, before, snapshot.songs, RAW, snapshot.moved_rows):
            log(line)


def _change(keep: dict[str, str], snapshot: Snapshot) -> Change:
    """Return the change that keeps the files `keep` (old path to new) and updates the manifest."""
    rows = {}
    for old, row in snapshot.manifest.rows.items():
        if old in keep:
            new = keep[old]
            genre = row.get("genre", "") if new == old else new.partition("/")[0]
            rows[new] = {**row, "path": new, "genre": genre}
    table = Manifest(rows, list(snapshot.manifest.columns))
    return Change(keep=keep, manifest=table.text() if rows else None)


def _found(names: Sequence[str], snapshot: Snapshot) -> list[str]:
    """Resolve `names` to songs; raises `CollectionError` with those that are unknown."""
    found: list[str] = []
    unknown = []
    for name in names:
        matches = _by_path(name, snapshot) or _by_track_id(name, snapshot)
        found += matches
        if not matches:
            near = difflib.get_close_matches(name, snapshot.songs, n=1)
            unknown.append(f"{name} (did you mean {near[0]}?)" if near else name)
    if unknown:
        raise CollectionError(
            f"not in {snapshot.raw}: {', '.join(unknown)}; expected paths below it or track ids; "
            "nothing was changed"
        )
    return found


def _by_path(name: str, snapshot: Snapshot) -> list[str]:
    """Return the song at a path, or the songs in a folder."""
    paths = [name.strip("/")]
    here = Path(name).absolute()
    if here.is_relative_to(snapshot.raw.absolute()):
        paths.append(here.relative_to(snapshot.raw.absolute()).as_posix())
    for path in paths:
        if path in snapshot.songs:
            return [path]
        within = [song for song in snapshot.songs if song.startswith(f"{path}/")]
        if within:
            return within
    return []


def _by_track_id(name: str, snapshot: Snapshot) -> list[str]:
    """Return the songs whose sha256 starts with `name`."""
    if not TRACK_ID.fullmatch(name):
        return []
    return [path for path in snapshot.songs if snapshot.digest(path).startswith(name)]
