"""Songs read from end to end, for the steps that ask which of them are usable.

What was heard is kept by content (`genre.store`): what one step has heard, no other hears again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from genre import catalogue
from genre.compute import Failed, Song
from genre.params import Params
from genre.store import cache_key
from tasks.songs import Tally, each_song

LIBRARIES = ("soundfile", "av", "numpy")


def scan_songs(
    songs: Sequence[Song], params: Params, root: Path, *, what: str, tally: Tally
) -> Iterator[tuple[Song, bytes | Failed]]:
    """Each song with what `genre.catalogue.judge` judges it by, or why there is nothing."""
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
