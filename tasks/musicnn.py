"""musicnn: songs → tags and embeddings that a pretrained network predicts, `data/musicnn/`.

`patches` has a row a 3 s patch, named and timed (`segment` counts patches, `start_s`); `3s` a row
a segment of the clip, the mean of its patches; `30s` a row a song, mean and deviation of them all.
The input is the 30 s that trim keeps, resampled once from the song as it came, not the clip. If
`musicnn` is not among the families the folder is empty.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

from genre.audio import SEGMENT_SECONDS, SEGMENTS_PER_CLIP
from genre.core.cache import cache_key
from genre.core.compute import Failed
from genre.core.files import atomic_folder
from genre.core.params import Params
from genre.features.musicnn import columns, embedder
from tasks.io import paths
from tasks.io.datasets import LONG, SHORT, TableWriter
from tasks.io.families import read_families
from tasks.io.songs import Tally, each_song
from tasks.io.step import step
from tasks.io.tables import as_songs, read_songs

LIBRARIES = ("soundfile", "av", "soxr", "librosa", "scipy", "numpy", "torch")
CODE = ("audio", "musicnn")
PATCHES = "patches"
SETTINGS = {"weights", "patch_frames", "hop_frames"}  # the layers are chosen when models learn


def run(params: Params, root: Path) -> str:
    """Embed every usable song; one that can no longer be read is named and left out."""
    if "musicnn" not in read_families(params, root):
        with atomic_folder(root / paths.MUSICNN):
            pass
        return "musicnn is not among the feature families"
    table = read_songs(root)
    genres = dict(zip(table["track_id"], table["genre"], strict=True))
    songs = as_songs(table, root / paths.RAW)
    settings, position = params.musicnn, params.trim.position
    chosen = {**settings.model_dump(include=SETTINGS), "position": position}
    names = columns.names(settings.weights)
    starts = [SEGMENT_SECONDS * number for number in range(SEGMENTS_PER_CLIP)]
    tally = Tally()
    hop = embedder.hop_seconds(settings)
    of_songs = columns.song_names(settings.weights)
    with (
        atomic_folder(root / paths.MUSICNN) as folder,
        TableWriter(folder / PATCHES, names, np.float32, seconds=hop) as each,
        TableWriter(folder / SHORT, names, np.float32) as short,
        TableWriter(folder / LONG, of_songs, np.float32) as long,
    ):
        results = each_song(
            songs,
            partial(
                embedder.rows_of_song,
                position=position,
                settings=settings,
                pretrained=(root / paths.PRETRAINED).resolve(),
            ),
            cache_key=cache_key(chosen, CODE, LIBRARIES),
            compute=params.compute,
            root=root,
            what="musicnn",
            tally=tally,
            preload=[
                "torch",
                "librosa.filters",
                "soundfile",
                "soxr",
                "genre.features.musicnn.front_end",
            ],
        )
        for song, result in results:
            if isinstance(result, Failed):
                continue
            patches = embedder.decode_rows(result, settings)
            middles = embedder.patch_middles(len(patches), settings)
            genre = genres[song.name]
            each.add(song.name, genre, patches)
            short.add(
                song.name, genre, columns.of_segments(patches, middles, starts, SEGMENT_SECONDS)
            )
            long.add(song.name, genre, columns.of_song(patches)[np.newaxis])
    tally.print_set_aside(root)
    return f"{len(names)} columns of {tally.kept} songs ({tally})"


def main() -> None:
    """Run the step as `python -m tasks.musicnn`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
