"""extended: `data/clips` → two Parquet datasets of the extended columns, of clips and of segments.

`data/extended/30s` has a row a clip, `data/extended/3s` ten, laid out as those of the step
features. If `extended` is not among the families the folder is empty.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre.core.cache import cache_key
from genre.core.files import atomic_folder
from genre.core.params import Params
from genre.features.extended import NAMES
from genre.features.extended.clips import KERNELS, rows_of_clip
from genre.features.report.clips import decode_rows
from tasks.io import paths
from tasks.io.datasets import write_datasets
from tasks.io.families import read_families
from tasks.io.step import step
from tasks.io.tables import find_clips, read_songs

LIBRARIES = ("numba", "numpy", "scipy", "soundfile")
CODE = ("audio", "report", "extended")


def run(params: Params, root: Path) -> str:
    """Extract the columns of every clip; one that cannot be read is named and left out."""
    if "extended" not in read_families(params, root):
        with atomic_folder(root / paths.EXTENDED):
            pass
        return "extended is not among the feature families"
    songs = read_songs(root)
    frames = params.features
    settings = frames.model_dump(include={"n_fft", "hop_length"})
    with atomic_folder(root / paths.EXTENDED) as folder:
        tally = write_datasets(
            folder,
            find_clips(root),
            partial(rows_of_clip, n_fft=frames.n_fft, hop_length=frames.hop_length),
            genres=dict(zip(songs["track_id"], songs["genre"], strict=True)),
            names=NAMES,
            decode=decode_rows,
            cache_key=cache_key(settings, CODE, LIBRARIES),
            compute=params.compute,
            root=root,
            what="extended",
            preload=KERNELS,
        )
    return f"{len(NAMES)} extended features of {tally.kept} clips and their segments ({tally})"


def main() -> None:
    """Run the step as `python -m tasks.extended`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
