"""Find songs that were moved manually between genre folders, and renamed genre folders.

A song is matched by its content if it is in the last catalogue, else by its name if its whole genre
folder is gone. Its row in the manifest (artist, licence) gets the new path.
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
MAX_SHOWN = 3  # songs named in a line


def last_catalogue(raw: Path) -> dict[str, str]:
    """Map the paths of the last catalogue to their sha256; empty without a catalogue."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(raw.with_name(CATALOGUE)) as file:  # read_table would import pandas
            table = file.read(columns=COLUMNS).select(COLUMNS)
    except (OSError, pa.ArrowException, KeyError):
        return {}
    rows = table.to_pylist()
    return {row["path"]: row["sha256"] for row in rows if row["sha256"]}


def find_moves(
    songs: Sequence[str],
    gone: Iterable[str],
    rows: Mapping[str, object],
    hashes: Mapping[str, str],
    digest: Callable[[str], str],
) -> dict[str, str]:
    """Map the old paths `gone` to the new paths of these songs.

    `songs` are the songs now, `rows` those of the manifest, `hashes` those of the last catalogue by
    path; `digest` returns the sha256 of a song.
    """
    moves: dict[str, str] = {}
    by_content: dict[str, list[str]] = {}
    for song in songs:
        if song not in rows or song not in hashes:
            with suppress(CollectionError):  # unreadable: reported by ingest
                by_content.setdefault(hashes.get(song) or digest(song), []).append(song)
    unknown: dict[str, list[str]] = {}
    for old in sorted(gone):
        if old in hashes:
            found = by_content.get(hashes[old], [])
            if found:
                moves[old] = min(found, key=lambda new: (_name(new) != _name(old), new))
                found.remove(moves[old])
        else:
            unknown.setdefault(_genre(old), []).append(old)
    free = {song for song in songs if song not in rows} - set(moves.values())
    there = {_genre(song) for song in songs}
    for genre, olds in unknown.items():
        if genre not in there:
            moves |= _match_by_name(olds, free, {_genre(path) for path in rows})
    return moves


def move_rows(manifest: Manifest, moves: Mapping[str, str]) -> int:
    """Set the new paths in the rows of moved songs, in place; return how many."""
    carried = 0
    for old, new in moves.items():
        if old in manifest.rows and new not in manifest.rows:
            row = manifest.rows.pop(old)
            manifest.rows[new] = {**row, "path": new, "genre": _genre(new)}
            carried += 1
    return carried


def describe(
    moves: Mapping[str, str],
    before: Iterable[str],
    songs: Sequence[str],
    raw: Path,
    carried: int,
) -> list[str]:
    """Describe `moves`, by which the songs `before` became `songs`, in lines for the user."""
    import pandas as pd

    from genre.collection.catalogue_diff import renamed

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
    text = []
    for (old, new), files in pairs.items():
        one = len(files) == 1
        count = "1 song" if one else f"{len(files)} songs"
        shown = ", ".join(files[:MAX_SHOWN]) + (", …" if len(files) > MAX_SHOWN else "")
        if names.get(old) == new:
            text.append(
                f"{raw / new} holds {count} that {'was' if one else 'were'} in {raw / old}: the "
                "genre folder was renamed"
            )
        elif old == new:
            text.append(f"{count} in {raw / new} {'has' if one else 'have'} a new name ({shown})")
        else:
            text.append(f"{count} moved from {raw / old} to {raw / new} ({shown})")
    if carried:
        rows = "1 row was" if carried == 1 else f"{carried} rows were"
        text.append(f"{raw / MANIFEST}: {rows} updated to the new paths")
    return text


def _match_by_name(olds: Sequence[str], free: set[str], described: set[str]) -> dict[str, str]:
    """Match the songs of a missing folder to the one new folder with most of their names."""
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
