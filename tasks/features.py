"""features: `data/clips` → two Parquet datasets of the 57 columns, of clips and of segments.

`data/features/30s` has a row a clip, `data/features/3s` ten; both are sorted by `track_id` and
`segment`. With `features.csv` the report's two tables are written too, named and laid out like the
public GTZAN ones, as `data/features/csv/features_30_sec.csv` and `features_3_sec.csv`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, SEGMENT_SECONDS, read_clip
from genre.compute import map_songs, progress
from genre.errors import InputError
from genre.features import NAMES, extract_clip
from genre.files import atomic_folder
from genre.params import FeatureParams, Params
from tasks import paths
from tasks.cli import step
from tasks.tables import find_clips, read_songs

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_TOGETHER = 4096  # rows of a Parquet row group
PART = "part-0.parquet"


@dataclass(frozen=True)
class Extracted:
    """The values of one clip and of its segments, or why there are none."""

    track_id: str
    clip: dict[str, float]
    segments: list[dict[str, float]]
    reason: str | None = None


def listen(path: Path, *, settings: FeatureParams) -> Extracted:
    """Extract the features of one clip; what is wrong with it becomes the reason."""
    try:
        y = read_clip(path)
        clip, segments = extract_clip(
            y, SAMPLE_RATE, n_fft=settings.n_fft, hop_length=settings.hop_length
        )
    except InputError as error:
        return Extracted(path.stem, {}, [], reason=str(error))
    return Extracted(path.stem, clip, segments)


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
        self._rows: list[dict[str, Any]] = []

    def add(self, track_id: str, genre: str, rows: list[dict[str, float]]) -> None:
        """Add one clip's rows, one a segment."""
        for segment, values in enumerate(rows):
            place = {"segment": segment, "start_s": float(segment * SEGMENT_SECONDS)}
            self._rows.append({"track_id": track_id, "genre": genre, **place, **values})
        if len(self._rows) >= ROWS_TOGETHER:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        table: pa.Table = pa.Table.from_pylist(self._rows, schema=self._schema)
        self._writer.write_table(table)
        self._rows = []


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
    songs = read_songs(root).set_index("track_id")
    clips = [clip for clip in find_clips(root) if clip.stem in songs.index]
    work = partial(listen, settings=params.features)
    lost = 0
    with atomic_folder(root / paths.FEATURES_30S.parent) as folder:
        long = TableWriter(folder / paths.FEATURES_30S.name)
        short = TableWriter(folder / paths.FEATURES_3S.name)
        done = map_songs(work, clips, workers=params.compute.workers)
        for found in progress(done, total=len(clips), what="features"):
            if found.reason:
                lost += 1
                print(f"set aside: {found.reason}")
                continue
            genre = str(songs.at[found.track_id, "genre"])
            long.add(found.track_id, genre, [found.clip])
            short.add(found.track_id, genre, found.segments)
        long.close()
        short.close()
        if params.features.csv:
            names = songs["path"].to_dict()
            for dataset, length, name in (
                (paths.FEATURES_30S, CLIP_SAMPLES, "features_30_sec.csv"),
                (paths.FEATURES_3S, SEGMENT_SAMPLES, "features_3_sec.csv"),
            ):
                target = folder / paths.FEATURES_CSV.name / name
                write_csv(folder / dataset.name, target, length=length, names=names)
    aside = f", {lost} set aside" if lost else ""
    return f"{len(NAMES)} features of {len(clips) - lost} clips and their segments{aside}"


def main() -> None:
    """Run the step as `python -m tasks.features`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
