"""ingest: the collection `data/raw` → `data/catalogue.parquet` and `data/duplicates.parquet`.

The catalogue has a row per song; `duplicates.parquet` a row for each usable song with a
near-duplicate by acoustic fingerprint. The step `split` keeps a `duplicate_group` in one subset. No
song is removed: which copy to keep, and in which genre, is a manual decision.
"""

from __future__ import annotations

import sys
from pathlib import Path

from genre.collection import catalogue, ignored_files, manifest
from genre.core.files import write_parquet
from genre.core.params import Params
from tasks.io import paths
from tasks.io.fingerprints import find_duplicates
from tasks.io.scanning import scan_songs
from tasks.io.songs import SongCounts
from tasks.io.step import step
from tasks.io.tables import as_song, usable


def run(params: Params, root: Path) -> str:
    """Scan every song, write the catalogue and the duplicates; return the number of songs.

    Prints songs that are set aside and files that are not songs. Raises `InputError` if too few
    songs are left.
    """
    raw = root / paths.RAW
    described = manifest.read(raw)
    names = catalogue.find_songs(raw)
    songs = [as_song(path, raw / path) for path in names]
    scanned = scan_songs(songs, params, root, what="ingest", counts=(counts := SongCounts()))
    table = catalogue.build(
        (catalogue.check_song(song, result, params.ingest) for song, result in scanned),
        described.table(names),
    )
    ignored = ignored_files.find(raw, described.rows)
    for kind, found in ignored.items():
        print(ignored_files.line(kind, found))
    aside = table[table["status"] == catalogue.SET_ASIDE]
    for path, reason in zip(aside["path"], aside["reason"], strict=True):
        print(f"set aside: {path} {reason}")
    catalogue.check(table, params.ingest)
    duplicates = find_duplicates(usable(table), params, root)
    write_parquet(root / paths.CATALOGUE, table)
    write_parquet(root / paths.DUPLICATES, duplicates)
    kept = len(table) - len(aside)
    groups = duplicates["duplicate_group"].nunique()
    return (
        f"{kept} songs in {table['genre'].nunique()} genres, {len(aside)} set aside "
        f"({counts.computed} scanned, {counts.reused} cached)"
        + (f"; {len(duplicates)} near-duplicates in {groups} groups" if groups else "")
        + "".join(f"; {kind}: {len(found)}" for kind, found in ignored.items())
    )


def main() -> None:
    """Run the step as `python -m tasks.ingest`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
