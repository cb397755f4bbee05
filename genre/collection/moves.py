"""Songs that a person moved by hand: files between genre folders, or a whole folder renamed.

A song is found again by its content if the last catalogue knows it, else by its name if its whole
genre folder is gone. Its row in the manifest (artist, licence) goes to the new path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from genre.collection.manifest import MANIFEST, Manifest
from genre.core.errors import CollectionError

CATALOGUE = "catalogue.parquet"  # of the last run, beside the collection
COLUMNS = ["path", "sha256"]
MOST_SHOWN = 3  # songs named in a line


def last_catalogue(raw: Path) -> dict[str, str]:
    """The sha256 of each song of the last run by its path; empty without a catalogue."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(raw.with_name(CATALOGUE)) as file:  # read_table would import pandas
            table = file.read(columns=COLUMNS).select(COLUMNS)
    except (OSError, pa.ArrowException, KeyError):
        return {}
    rows = table.to_pylist()
    return {row["path"]: row["sha256"] for row in rows if row["sha256"]}


def find(
    songs: Sequence[str],
    gone: Iterable[str],
    rows: Mapping[str, object],
    known: Mapping[str, str],
    digest: Callable[[str], str],
) -> dict[str, str]:
    """Where the songs of the paths `gone` are now: their old paths to their new ones.

    `songs` are there; `rows` are those of the manifest and `known` the last catalogue, by path;
    `digest` returns the sha256 of a song.
    """
    moves: dict[str, str] = {}
    by_content: dict[str, list[str]] = {}
    for song in songs:
        if song not in rows or song not in known:
            with suppress(CollectionError):  # unreadable: ingest says so
                by_content.setdefault(known.get(song) or digest(song), []).append(song)
    unknown: dict[str, list[str]] = {}
    for old in sorted(gone):
        if old in known:
            found = by_content.get(known[old], [])
            if found:
                moves[old] = min(found, key=lambda new: (_name(new) != _name(old), new))
                found.remove(moves[old])
        else:
            unknown.setdefault(_genre(old), []).append(old)
    free = {song for song in songs if song not in rows} - set(moves.values())
    there = {_genre(song) for song in songs}
    for genre, olds in unknown.items():
        if genre not in there:
            moves |= _by_name(olds, free, {_genre(path) for path in rows})
    return moves


def carry_over(manifest: Manifest, moves: Mapping[str, str]) -> int:
    """Give the rows of moved songs their new paths, in place; return how many."""
    carried = 0
    for old, new in moves.items():
        if old in manifest.rows and new not in manifest.rows:
            row = manifest.rows.pop(old)
            manifest.rows[new] = {**row, "path": new, "genre": _genre(new)}
            carried += 1
    return carried


def lines(
    moves: Mapping[str, str],
    before: Iterable[str],
    songs: Sequence[str],
    raw: Path,
    carried: int,
) -> list[str]:
    """What a person wants to read about `moves`, by which the songs `before` became `songs`."""
    import pandas as pd

    from genre.collection.changes import renamed

    if not moves:
        return []
    old_paths = {new: old for old, new in moves.items()}
    columns = ["track_id", "genre"]
    was = pd.DataFrame([(path, _genre(path)) for path in before], columns=columns)
    now = [(old_paths.get(song, song), _genre(song)) for song in songs]
    names = renamed(was, pd.DataFrame(now, columns=columns))
    pairs: dict[tuple[str, str], list[str]] = {}
    for old, new in moves.items():
        pairs.setdefault((_genre(old), _genre(new)), []).append(_name(new))
    said = []
    for (old, new), files in pairs.items():
        one = len(files) == 1
        count = "1 song" if one else f"{len(files)} songs"
        shown = ", ".join(files[:MOST_SHOWN]) + (", …" if len(files) > MOST_SHOWN else "")
        if names.get(old) == new:
            said.append(
                f"{raw / new} holds {count} that {'was' if one else 'were'} in {raw / old}: the "
                "genre folder was renamed"
            )
        elif old == new:
            said.append(f"{count} in {raw / new} {'has' if one else 'have'} a new name ({shown})")
        else:
            said.append(f"{count} moved from {raw / old} to {raw / new} ({shown})")
    if carried:
        rows = "1 row was" if carried == 1 else f"{carried} rows were"
        said.append(f"{raw / MANIFEST}: {rows} carried over to the new paths")
    return said


def _by_name(olds: Sequence[str], free: set[str], described: set[str]) -> dict[str, str]:
    """The songs of a folder that is gone, in the one new folder that holds most of their names."""
    names = {_name(old): old for old in olds}
    found = Counter(_genre(song) for song in free if _name(song) in names)
    best = [genre for genre, count in found.most_common() if 2 * count > len(olds)]
    if len(best) != 1 or best[0] in described:
        return {}
    return {old: f"{best[0]}/{name}" for name, old in names.items() if f"{best[0]}/{name}" in free}


def _genre(path: str) -> str:
    return path.partition("/")[0]


def _name(path: str) -> str:
    return path.partition("/")[2]
