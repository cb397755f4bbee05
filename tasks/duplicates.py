"""duplicates: usable songs → `data/duplicates.parquet`, a row for each that has a near-duplicate.

The step `split` keeps the songs of a `duplicate_group` on one side, in whichever genres they are.
Nothing is removed: which copy to keep, and under which genre, is for a person to say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from genre import duplicates
from genre.core.files import write_parquet
from genre.core.params import Params
from tasks.io import paths
from tasks.io.recordings import fingerprint_songs
from tasks.io.songs import Tally
from tasks.io.step import step
from tasks.io.tables import as_songs, read_songs

if TYPE_CHECKING:
    import pandas as pd


def run(params: Params, root: Path) -> str:
    """Fingerprint every usable song, print who is a copy of whom, and say how many there are.

    A song that can no longer be read is named and left out. Raises `InputError` where the
    catalogue is missing.
    """
    table = read_songs(root)
    songs = as_songs(table, root / paths.RAW)
    prints = fingerprint_songs(songs, params, root, what="duplicates", tally=(tally := Tally()))
    matches = duplicates.matches(
        list(prints.values()),
        min_words=round(params.duplicates.min_seconds * duplicates.WORDS_PER_SECOND),
        max_bit_error=params.duplicates.max_bit_error,
    )
    found = duplicates.group(list(prints), matches)
    for line in describe(found, table):
        print(line)
    write_parquet(root / paths.DUPLICATES, found)
    groups = found["duplicate_group"].nunique()
    which = f"{len(found)} of {len(prints)} songs are near-duplicates, in {groups} groups"
    return f"{which if groups else f'no near-duplicates among {len(prints)} songs'} ({tally})"


def describe(found: pd.DataFrame, songs: pd.DataFrame) -> Iterator[str]:
    """Say of each group of near-duplicates who is the same as whom, and of which genres.

    Each pair is named once.
    `found` is what `genre.duplicates.group` returned; `songs` are rows of the catalogue.
    """
    where = songs.set_index("track_id")[["path", "genre"]]
    members = found.assign(
        path=where["path"].reindex(found["track_id"]).to_numpy(),
        genre=where["genre"].reindex(found["track_id"]).to_numpy(),
        copy=where["path"].reindex(found["other"]).to_numpy(),
    ).sort_values(["duplicate_group", "path"])
    for _, group in members.groupby("duplicate_group"):
        genres = sorted(group["genre"].unique())
        several = (
            f", filed under {' and '.join(genres)}: perhaps a label is wrong, or one is a remix"
            if len(genres) > 1
            else ""
        )
        yield f"{len(group)} songs with the same recording{several}"
        pairs = set()
        for row in group.itertuples():
            if (pair := frozenset((row.path, row.copy))) in pairs:
                continue
            pairs.add(pair)
            likeness = f"{row.similarity:.1%} of bits, {row.offset_s:+.2f} s"
            yield f"    {row.path} as in {row.copy} ({likeness})"


def main() -> None:
    """Run the step as `python -m tasks.duplicates`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
