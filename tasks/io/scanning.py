"""Scan whole songs, cached by content; used by ingest and the evaluation on new songs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from genre.collection import catalogue
from genre.core.cache import cache_key
from genre.core.compute import Failed, Song
from genre.core.params import Params
from tasks.io.songs import SongCounts, process_songs

LIBRARIES = ("soundfile", "av", "numpy")


def scan_songs(
    songs: Sequence[Song], params: Params, root: Path, *, what: str, counts: SongCounts
) -> Iterator[tuple[Song, bytes | Failed]]:
    """Yield each song with its scan (a `genre.audio.Scan` as JSON) or `Failed`."""
    limit = params.ingest.max_seconds
    return process_songs(
        songs,
        partial(catalogue.scan_song, max_seconds=limit),
        cache_key=cache_key({"max_seconds": limit}, ["audio"], LIBRARIES),
        compute=params.compute,
        root=root,
        what=what,
        counts=counts,
    )
