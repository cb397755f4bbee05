"""Demo songs: a small synthetic band for each of ten genres.

Everything here is made by arithmetic from a seed; nothing is a recording. The songs exist so that
the pipeline can be run, shown and tested without anybody's music, and are called synthetic
wherever they appear. The same seed gives the same files, byte for byte, on the same machine and
library versions, whatever the number of songs or processes.

Genres overlap on purpose, as real ones do: bands borrow grooves, harmonies, instruments and
mixes from their neighbours, and four artists a genre differ in sound.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from genre.progress import progress
from genre.workers import core_count, new_processes

GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)
SONGS_PER_GENRE = 12
LICENCE = "CC0-1.0"
SYNTHETIC = "synthetic demo song"  # begins the `source` of every demo song
MANIFEST = "manifest.csv"
COLUMNS = ("path", "genre", "artist", "title", "licence", "source")


def source_of(seed: int) -> str:
    """What the manifest's `source` column says of a demo song."""
    return f"{SYNTHETIC} (seed {seed})"


@dataclass(frozen=True)
class Order:
    """One song to be made: `number` counts the songs of its genre from 0."""

    folder: Path
    genre: str
    number: int
    seed: int


def write_songs(
    folder: Path,
    *,
    seed: int = 0,
    songs_per_genre: int = SONGS_PER_GENRE,
    genres: Sequence[str] = GENRES,
    workers: int = 0,
) -> None:
    """Write `<genre>/<title>.<suffix>` for each song, and `manifest.csv`, below `folder`.

    Songs are 30 to 40 s long, in several formats, sample rates and channel counts. `workers`
    processes share the work (0: one a core).
    """
    from genre.demo.songs import make_song

    unknown = sorted(set(genres) - set(GENRES))
    if unknown:
        raise ValueError(
            f"no demo band plays {', '.join(unknown)}; choose from {', '.join(GENRES)}"
        )
    orders = [
        Order(folder, genre, number, seed) for number in range(songs_per_genre) for genre in genres
    ]
    for genre in genres:
        (folder / genre).mkdir(parents=True, exist_ok=True)
    count = min(workers or core_count(), len(orders))
    if count <= 1:
        rows = [make_song(order) for order in orders]
    else:
        with (
            new_processes(["genre.demo.songs"]) as context,
            ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent) as pool,
        ):
            made = pool.map(make_song, orders, chunksize=2)
            rows = list(progress(made, total=len(orders), what="demo songs"))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: row["path"]))
    (folder / MANIFEST).write_text(text.getvalue(), encoding="utf-8")


def _end_with_parent() -> None:
    """Let this worker process end when the one that started it is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
