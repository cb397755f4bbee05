"""features: `data/clips` → two Parquet datasets of the 57 columns, of clips and of segments.

`data/features/30s` has a row a clip, `data/features/3s` ten; both are sorted by `track_id` and
`segment`. With `features.csv` the report's two tables are written too, named and laid out like the
public GTZAN ones, as `data/features/csv/features_30_sec.csv` and `features_3_sec.csv`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre.audio import CLIP_SAMPLES, SEGMENT_SAMPLES
from genre.core.cache import cache_key
from genre.core.files import atomic_folder
from genre.core.params import Params
from genre.features.report import NAMES
from genre.features.report.clips import KERNELS, decode_rows, rows_of_clip
from tasks.io import paths
from tasks.io.datasets import write_datasets
from tasks.io.step import step
from tasks.io.tables import find_clips, read_songs

LIBRARIES = ("librosa", "numba", "numpy", "scipy", "soundfile")


def write_csv(dataset: Path, target: Path, *, length: int, names: dict[str, str]) -> None:
    """Write a dataset as the report's table: `filename, length, 57 columns, label`.

    `names` gives each `track_id` its song's file name; a segment's row has its number before the
    suffix, as in the public tables.
    """
    import pandas as pd

    table = pd.read_parquet(dataset)
    several = dataset.name == paths.FEATURES_3S.name
    songs = [Path(names[track_id]) for track_id in table["track_id"]]
    numbers = [f".{segment}" if several else "" for segment in table["segment"]]
    filename = [f"{s.stem}{n}{s.suffix}" for s, n in zip(songs, numbers, strict=True)]
    table.insert(0, "filename", filename)
    table.insert(1, "length", length)
    table["label"] = table["genre"]
    target.parent.mkdir(parents=True, exist_ok=True)
    table[["filename", "length", *NAMES, "label"]].to_csv(target, index=False)


def run(params: Params, root: Path) -> str:
    """Extract the features of every clip; one that cannot be read is named and left out."""
    songs = read_songs(root)
    frames = params.features
    settings = frames.model_dump(include={"n_fft", "hop_length"})
    with atomic_folder(root / paths.FEATURES) as folder:
        tally = write_datasets(
            folder,
            find_clips(root),
            partial(rows_of_clip, n_fft=frames.n_fft, hop_length=frames.hop_length),
            genres=dict(zip(songs["track_id"], songs["genre"], strict=True)),
            names=NAMES,
            decode=decode_rows,
            cache_key=cache_key(settings, ["audio", "report"], LIBRARIES),
            compute=params.compute,
            root=root,
            what="features",
            preload=KERNELS,
        )
        if params.features.csv:
            names = dict(zip(songs["track_id"], songs["path"], strict=True))
            for dataset, length, name in (
                (paths.FEATURES_30S, CLIP_SAMPLES, "features_30_sec.csv"),
                (paths.FEATURES_3S, SEGMENT_SAMPLES, "features_3_sec.csv"),
            ):
                target = folder / paths.FEATURES_CSV.name / name
                write_csv(folder / dataset.name, target, length=length, names=names)
    return f"{len(NAMES)} features of {tally.kept} clips and their segments ({tally})"


def main() -> None:
    """Run the step as `python -m tasks.features`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
