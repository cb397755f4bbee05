"""features: `data/clips` → two Parquet datasets of the 57 columns, of clips and of segments.

`data/features/30s` has a row a clip, `data/features/3s` ten; both are sorted by `track_id` and
`segment`. With `features.csv` the report's two tables are written too, named and laid out like the
public GTZAN ones, as `data/features/csv/features_30_sec.csv` and `features_3_sec.csv`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

from genre.audio import CLIP_SAMPLES, SEGMENT_SAMPLES, SEGMENT_SECONDS
from genre.compute import Failed
from genre.features import NAMES
from genre.features.clips import KERNELS, Rows, decode_rows, rows_of_clip
from genre.files import atomic_folder
from genre.params import Params
from genre.store import fingerprint
from tasks import paths
from tasks.cli import step
from tasks.songs import Tally, each_song
from tasks.tables import find_clips, read_songs

LIBRARIES = ("librosa", "numba", "numpy", "scipy", "soundfile")
CLIPS_TOGETHER = 512  # in a Parquet row group
PART = "part-0.parquet"


class TableWriter:
    """Writes rows in order to the one file of a Parquet dataset, a row group at a time."""

    def __init__(self, folder: Path) -> None:
        """Start the dataset in the new folder `folder`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [("track_id", pa.string()), ("genre", pa.string()), ("segment", pa.int64())]
        columns += [("start_s", pa.float64()), *((name, pa.float64()) for name in NAMES)]
        self._schema = pa.schema(columns)
        folder.mkdir(parents=True)
        self._writer = pq.ParquetWriter(folder / PART, self._schema)
        self._clips: list[tuple[str, str, Rows]] = []

    def add(self, track_id: str, genre: str, rows: Rows) -> None:
        """Add one clip's rows, one a segment: float64, shape=(segments, 57)."""
        self._clips.append((track_id, genre, rows))
        if len(self._clips) == CLIPS_TOGETHER:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._clips:
            return
        segments = np.concatenate([np.arange(len(rows)) for _, _, rows in self._clips])
        values = np.concatenate([rows for _, _, rows in self._clips])
        columns = [
            pa.array([track_id for track_id, _, rows in self._clips for _ in rows]),
            pa.array([genre for _, genre, rows in self._clips for _ in rows]),
            pa.array(segments),
            pa.array(segments * float(SEGMENT_SECONDS)),
            *(pa.array(column) for column in values.T),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._clips = []


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
    genres = dict(zip(songs["track_id"], songs["genre"], strict=True))
    frames = params.features
    settings = frames.model_dump(include={"n_fft", "hop_length"})
    tally = Tally()
    with atomic_folder(root / paths.FEATURES) as folder:
        long = TableWriter(folder / paths.FEATURES_30S.name)
        short = TableWriter(folder / paths.FEATURES_3S.name)
        results = each_song(
            [clip for clip in find_clips(root) if clip.name in genres],
            partial(rows_of_clip, n_fft=frames.n_fft, hop_length=frames.hop_length),
            fingerprint=fingerprint(settings, ["genre.audio", "genre.features"], LIBRARIES),
            compute=params.compute,
            root=root,
            what="features",
            tally=tally,
            preload=KERNELS,
        )
        for clip, result in results:
            if isinstance(result, Failed):
                print(f"set aside: {clip.path.relative_to(root)} {result.reason}")
                continue
            rows = decode_rows(result)
            long.add(clip.name, genres[clip.name], rows[:1])
            short.add(clip.name, genres[clip.name], rows[1:])
        long.close()
        short.close()
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
