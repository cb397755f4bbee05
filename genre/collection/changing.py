"""Take songs out of the collection, or move them to another genre."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genre.collection import moves, transaction
from genre.collection.contents import RAW, Contents, Names
from genre.collection.manifest import Manifest
from genre.collection.sources import checked_genre
from genre.collection.transaction import Change
from genre.core.errors import CollectionError

TRACK_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Relabelled:
    """What `relabel` did; paths are relative to the collection."""

    moved: tuple[tuple[str, str], ...]
    unchanged: int  # songs that were of that genre already


def remove(
    songs: Sequence[str], root: Path = Path(), *, say: Callable[[str], None] = print
) -> list[str]:
    """Take songs out of the collection of the project at `root`; returns their paths, sorted.

    A song is named by its path relative to the collection, a path to it from here, or its
    `track_id`; a folder names all songs in it. Raises `CollectionError` that names every unknown
    one; nothing is changed then.
    """
    raw = root / RAW
    with transaction.exclusive(raw, say) as staging:
        contents = Contents(raw)
        gone = set(_found(songs, contents))
        keep = {path: path for path in contents.files if path not in gone}
        transaction.apply(raw, _change(keep, contents), staging, say)
    return sorted(gone)


def relabel(
    songs: Sequence[str], genre: str, root: Path = Path(), *, say: Callable[[str], None] = print
) -> Relabelled:
    """Move songs to `genre`; they are named as for `remove`.

    A song whose path is taken there gets a name of its own. Raises `CollectionError` where a song
    is unknown or `genre` cannot be the name of a folder; nothing is changed then.
    """
    checked_genre(genre)
    raw = root / RAW
    with transaction.exclusive(raw, say) as staging:
        contents = Contents(raw)
        chosen = sorted(set(_found(songs, contents)))
        moving = [path for path in chosen if path.partition("/")[0] != genre]
        keep = {path: path for path in contents.files if path not in moving}
        names = Names(keep)
        for path in moving:
            keep[path] = names.give(f"{genre}/{path.partition('/')[2]}", raw / path)
        if moving:
            transaction.apply(raw, _change(keep, contents), staging, say)
    return Relabelled(tuple((path, keep[path]) for path in moving), len(chosen) - len(moving))


def follow_moves(root: Path, *, say: Callable[[str], None] = print) -> None:
    """Carry the manifest over to songs that a person moved by hand since the last run, and say so.

    A collection that cannot be read is left as it is: the step ingest says why.
    """
    raw = root / RAW
    with suppress(CollectionError):
        if not raw.is_dir() or not Contents(raw).moved:
            return
        with transaction.exclusive(raw, say) as staging:
            contents = Contents(raw)
            manifest = contents.manifest
            if contents.carried:
                keep = {path: path for path in contents.files}
                transaction.apply(raw, Change(keep=keep, manifest=manifest.text()), staging, say)
        moved, before = contents.moved, contents.before
        for line in moves.lines(moved, before, contents.songs, RAW, contents.carried):
            say(line)


def _change(keep: dict[str, str], contents: Contents) -> Change:
    """The change to the files of `keep`, old path to new, with the manifest in step."""
    rows = {}
    for old, row in contents.manifest.rows.items():
        if old in keep:
            new = keep[old]
            genre = row.get("genre", "") if new == old else new.partition("/")[0]
            rows[new] = {**row, "path": new, "genre": genre}
    table = Manifest(rows, list(contents.manifest.columns))
    return Change(keep=keep, manifest=table.text() if rows else None)


def _found(names: Sequence[str], contents: Contents) -> list[str]:
    """The songs that `names` name; raises `CollectionError` with those that name none."""
    found: list[str] = []
    unknown = []
    for name in names:
        matches = _by_path(name, contents) or _by_track_id(name, contents)
        found += matches
        if not matches:
            near = difflib.get_close_matches(name, contents.songs, n=1)
            unknown.append(f"{name} (did you mean {near[0]}?)" if near else name)
    if unknown:
        raise CollectionError(
            f"not in {contents.raw}: {', '.join(unknown)}; expected paths below it or track ids, "
            "and nothing was changed"
        )
    return found


def _by_path(name: str, contents: Contents) -> list[str]:
    """The song at a path, or the songs in a folder."""
    paths = [name.strip("/")]
    here = Path(name).absolute()
    if here.is_relative_to(contents.raw.absolute()):
        paths.append(here.relative_to(contents.raw.absolute()).as_posix())
    for path in paths:
        if path in contents.songs:
            return [path]
        within = [song for song in contents.songs if song.startswith(f"{path}/")]
        if within:
            return within
    return []


def _by_track_id(name: str, contents: Contents) -> list[str]:
    """The songs whose sha256 starts with `name`."""
    if not TRACK_ID.fullmatch(name):
        return []
    return [path for path in contents.songs if contents.digest(path).startswith(name)]
