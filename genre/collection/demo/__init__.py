"""Demo songs: synthetic songs of ten genres, to run the pipeline without real music.

They are computed from a seed, contain no recordings, and are labelled as synthetic. The same seed
gives the same bytes on the same machine and library versions, with any number of songs and workers.

The genres overlap as real ones do: a song may use drums, chords or instruments of a neighbouring
genre, and the four artists of a genre differ in sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from genre.collection.manifest import MANIFEST, Manifest
from genre.core.progress import progress
from genre.core.workers import process_workers, result, this_process

# fmt: off
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae",
          "rock")
# fmt: on
SONGS_PER_GENRE = 12
LICENCE = "CC0-1.0"
SYNTHETIC = "synthetic demo song"  # begins the `source` of every demo song


def source_of(seed: int) -> str:
    """Return the `source` of a demo song in the manifest."""
    return f"{SYNTHETIC} (seed {seed})"


def write_songs(
    folder: Path,
    *,
    seed: int = 0,
    songs_per_genre: int = SONGS_PER_GENRE,
    genres: Sequence[str] = GENRES,
    workers: int = 0,
) -> None:
    """Write `<genre>/<title>.<suffix>` for each song, and `manifest.csv`, below `folder`.

    Songs are 30 to 37 s long, in several formats, sample rates and channel counts. `workers` is the
    number of processes (0: one per core; 1: this process).
    """
    from genre.collection.demo.synthesis import make_song

    if unknown := sorted(set(genres) - set(GENRES)):
        raise ValueError(f"no demo songs of {', '.join(unknown)}; choose from {', '.join(GENRES)}")
    for genre in genres:
        (folder / genre).mkdir(parents=True, exist_ok=True)
    with (
        nullcontext(this_process())
        if workers == 1
        else process_workers(workers, preload=["genre.collection.demo.synthesis"]) as pool
    ):
        songs = [
            pool.submit(make_song, folder, genre, number, seed)
            for number in range(songs_per_genre)
            for genre in genres
        ]
        rows = [result(song) for song in progress(songs, total=len(songs), what="demo songs")]
    manifest = Manifest({row["path"]: row for row in rows})
    (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8", newline="")
