"""ingest: the collection `data/raw` → `data/catalogue.parquet`."""

from __future__ import annotations

import sys
from pathlib import Path

from genre.collection import catalogue, manifest, not_audio
from genre.core.files import write_parquet
from genre.core.params import Params
from tasks.io import paths
from tasks.io.scanning import scan_songs
from tasks.io.songs import Tally
from tasks.io.step import step
from tasks.io.tables import as_song


def run(params: Params, root: Path) -> str:
    """Scan every song, write the catalogue, and say how many are usable.

    What lies there and is no song is named. Raises `InputError` if too few songs are left; the
    reasons are printed before.
    """
    raw = root / paths.RAW
    described = manifest.read(raw)
    names = catalogue.find_songs(raw)
    songs = [as_song(path, raw / path) for path in names]
    heard = scan_songs(songs, params, root, what="ingest", tally=(tally := Tally()))
    table = catalogue.build(
        (catalogue.judge(song, result, params.ingest) for song, result in heard),
        described.table(names),
    )
    others = not_audio.find(raw, described.rows)
    for kind, found in others.items():
        print(not_audio.line(kind, found))
    aside = table[table["status"] == catalogue.SET_ASIDE]
    for path, reason in zip(aside["path"], aside["reason"], strict=True):
        print(f"set aside: {path} {reason}")
    catalogue.check(table, params.ingest)
    write_parquet(root / paths.CATALOGUE, table)
    kept = len(table) - len(aside)
    return (
        f"{kept} songs in {table['genre'].nunique()} genres, {len(aside)} set aside "
        f"({tally.computed} scanned, {tally.reused} cached)"
        + "".join(f"; {kind}: {len(found)}" for kind, found in others.items())
    )


def main() -> None:
    """Run the step as `python -m tasks.ingest`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
