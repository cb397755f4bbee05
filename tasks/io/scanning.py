"""Songs read from end to end, for the steps that ask which of them are usable.

What was heard is kept by content (`genre.core.cache`): what one step has heard, no other hears
again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from genre.collection import catalogue
from genre.core.cache import cache_key
from genre.core.compute import Failed, Song
from genre.core.params import Params
from tasks.io.songs import Tally, each_song

LIBRARIES = ("soundfile", "av", "numpy")


def scan_songs(
    songs: Sequence[Song], params: Params, root: Path, *, what: str, tally: Tally
) -> Iterator[tuple[Song, bytes | Failed]]:
    """Each song with its scan (a `genre.audio.Scan` as JSON), or why there is none."""
    limit = params.ingest.max_seconds
    return each_song(
        songs,
        partial(catalogue.listen, max_seconds=limit),
        cache_key=cache_key({"max_seconds": limit}, ["audio"], LIBRARIES),
        compute=params.compute,
        root=root,
        what=what,
        tally=tally,
    )
