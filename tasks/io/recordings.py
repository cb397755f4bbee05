"""Songs fingerprinted, for the steps that ask which of them are the same recording.

Fingerprints are kept by content (`genre.core.cache`): what one step has heard, no other hears
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genre import duplicates
from genre.core.cache import cache_key
from genre.core.compute import Failed, Song
from genre.core.params import Params
from tasks.io.songs import Tally, each_song

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
