"""Acoustic fingerprints of songs, and which songs are the same recording.

Fingerprints are cached by content (`genre.core.cache`): no song is fingerprinted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre import duplicates
from genre.core.cache import cache_key
from genre.core.compute import Failed, Song
from genre.core.params import Params
from tasks.io import paths
from tasks.io.songs import Tally, each_song
from tasks.io.tables import as_songs

if TYPE_CHECKING:
    import pandas as pd

LIBRARIES = ("soundfile", "av", "soxr", "scipy", "numpy")


def fingerprint_songs(
    songs: Sequence[Song], params: Params, root: Path, *, what: str, tally: Tally
) -> dict[str, duplicates.Words]:
    """The words of each song by its name; one that cannot be read is named and left out."""
    heard = each_song(
        songs,
        duplicates.fingerprint_song,
        cache_key=cache_key({}, ("audio", "fingerprints"), LIBRARIES),
        compute=params.compute,
        root=root,
        what=what,
        tally=tally,
        preload=["soundfile", "soxr", "scipy.fft"],
    )
    prints = {
        song.name: duplicates.from_bytes(result)
        for song, result in heard
        if not isinstance(result, Failed)
    }
    tally.print_set_aside(root)
    return prints


def find_duplicates(table: pd.DataFrame, params: Params, root: Path) -> pd.DataFrame:
    """The near-duplicates among the usable songs `table` (see `genre.duplicates.group`), printed.

    A song that can no longer be read is named and left out.
    """
    songs = as_songs(table, root / paths.RAW)
    prints = fingerprint_songs(songs, params, root, what="fingerprints", tally=Tally())
    matches = duplicates.matches(
        list(prints.values()),
        min_words=round(params.duplicates.min_seconds * duplicates.WORDS_PER_SECOND),
        max_bit_error=params.duplicates.max_bit_error,
    )
    found = duplicates.group(list(prints), matches)
    for line in describe(found, table):
        print(line)
    return found


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
