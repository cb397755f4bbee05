"""Fingerprint songs (cached by content) and find near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genre import duplicates
from genre.core.cache import cache_key
from genre.core.compute import Failed, Song
from genre.core.params import Params
from tasks.io import paths
from tasks.io.songs import SongCounts, process_songs
from tasks.io.tables import as_songs

if TYPE_CHECKING:
    import pandas as pd

LIBRARIES = ("soundfile", "av", "soxr", "scipy", "numpy")


def fingerprint_songs(
    songs: Sequence[Song], params: Params, root: Path, *, what: str, counts: SongCounts
) -> dict[str, duplicates.Fingerprint]:
    """Return fingerprints by song name; a song that cannot be read is reported and left out."""
    results = process_songs(
        songs,
        duplicates.fingerprint_song,
        cache_key=cache_key({}, ("audio", "fingerprints"), LIBRARIES),
        compute=params.compute,
        root=root,
        what=what,
        counts=counts,
        preload=["soundfile", "soxr", "scipy.fft"],
    )
    fingerprints = {
        song.name: duplicates.from_bytes(result)
        for song, result in results
        if not isinstance(result, Failed)
    }
    counts.print_set_aside(root)
    return fingerprints


def find_duplicates(table: pd.DataFrame, params: Params, root: Path) -> pd.DataFrame:
    """Return and print the near-duplicates among the songs `table` (`genre.duplicates.group`).

    A song that cannot be read is reported and left out.
    """
    songs = as_songs(table, root / paths.RAW)
    fingerprints = fingerprint_songs(songs, params, root, what="fingerprints", counts=SongCounts())
    matches = duplicates.matches(
        list(fingerprints.values()),
        min_length=round(params.duplicates.min_seconds * duplicates.SUBFINGERPRINTS_PER_SECOND),
        max_bit_error=params.duplicates.max_bit_error,
    )
    found = duplicates.group(list(fingerprints), matches)
    for line in describe(found, table):
        print(line)
    return found


def describe(found: pd.DataFrame, songs: pd.DataFrame) -> Iterator[str]:
    """Describe each group of near-duplicates, with each pair once.

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
            f", in {' and '.join(genres)}: a label may be wrong, or one may be a remix"
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
