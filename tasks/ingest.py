"""ingest: the collection `data/raw` → `data/catalogue.parquet`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre import catalogue
from genre.compute import map_songs, progress
from genre.files import write_parquet
from genre.params import Params
from tasks import paths
from tasks.cli import step


def run(params: Params, root: Path) -> str:
    """Listen to every song, write the catalogue, and say how many are usable.

    Raises `InputError` where too few songs are left; the reasons are printed before.
    """
    raw = root / paths.RAW
    songs = catalogue.find_songs(raw)
    listen = partial(catalogue.listen, raw, settings=params.ingest)
    heard = map_songs(listen, songs, workers=params.compute.workers)
    table = catalogue.build(
        progress(heard, total=len(songs), what="ingest"), catalogue.read_manifest(raw)
    )
    aside = table[table["status"] == catalogue.SET_ASIDE]
    for row in aside.itertuples():
        print(f"set aside: {row.path} {row.reason}")
    catalogue.check(table, params.ingest)
    write_parquet(root / paths.CATALOGUE, table)
    kept = len(table) - len(aside)
    return f"{kept} songs in {table['genre'].nunique()} genres, {len(aside)} set aside"


def main() -> None:
    """Run the step as `python -m tasks.ingest`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
