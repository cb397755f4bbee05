"""Write the Parquet datasets of a feature family: rows of songs, segments or patches.

A family's folder holds `30s`, a row per song, and `3s`, ten. All datasets have the columns
`track_id, genre, segment, start_s` and those of the family, sorted by `track_id` and `segment`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genre.core.compute import Failed, Song
from genre.core.params import Params
from genre.features import NAMES
from genre.features.families import SHORT, Family, Rows, compute_song
from tasks.io import paths
from tasks.io.families import section
from tasks.io.songs import SongCounts, process_songs

CLIPS_TOGETHER = 512  # in a Parquet row group
PART = "part-0.parquet"


class TableWriter:
    """Writes the one file of a Parquet dataset, a row group at a time."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        dtype: npt.DTypeLike,
        *,
        seconds: float,
    ) -> None:
        """Start the dataset in the new folder `folder`, with columns `names` of type `dtype`.

        The rows of a song are `seconds` apart.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [("track_id", pa.string()), ("genre", pa.string()), ("segment", pa.int64())]
        number = pa.from_numpy_dtype(np.dtype(dtype))
        columns += [("start_s", pa.float64()), *((name, number) for name in names)]
        self._schema = pa.schema(columns)
        folder.mkdir(parents=True)
        self._writer = pq.ParquetWriter(folder / PART, self._schema)
        self._seconds = seconds
        self._clips: list[tuple[str, str, Rows]] = []

    def add(self, track_id: str, genre: str, rows: Rows) -> None:
        """Add the rows of a song [shape=(segments, columns)]."""
        self._clips.append((track_id, genre, rows))
        if len(self._clips) == CLIPS_TOGETHER:
            self._flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the last rows and close the file; after an error only close it."""
        if kind is None:
            self._flush()
            self._writer.close()
        else:
            with contextlib.suppress(OSError):
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
            pa.array(segments * float(self._seconds)),
            *(pa.array(column) for column in values.T),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._clips = []


def write_family(
    folder: Path,
    family: Family,
    songs: Sequence[Song],
    genres: Mapping[str, str],
    params: Params,
    root: Path,
) -> SongCounts:
    """Compute the features of a family and write its datasets below `folder`.

    `genres` maps song names to genres. A song that fails is reported and left out.
    """
    settings = section(params, family)
    extractor = family.open(settings)
    counts = SongCounts()
    results = process_songs(
        songs,
        partial(
            compute_song,
            family=family.name,
            settings=settings,
            position=params.trim.position,
            pretrained=(root / paths.PRETRAINED).resolve(),
        ),
        cache_key=family.cache_key(settings, params.trim.position),
        compute=params.compute,
        root=root,
        what=family.name,
        counts=counts,
        preload=[family.module, *family.preload],
    )
    with contextlib.ExitStack() as stack:
        writers = {
            name: stack.enter_context(
                TableWriter(
                    folder / name, dataset.columns, extractor.dtype, seconds=dataset.seconds
                )
            )
            for name, dataset in extractor.datasets().items()
        }
        for song, result in results:
            if isinstance(result, Failed):
                continue
            for name, rows in extractor.rows(extractor.decode(result)).items():
                writers[name].add(song.name, genres[song.name], rows)
    counts.print_set_aside(root)
    return counts


def write_csv(dataset: Path, target: Path, *, length: int, names: dict[str, str]) -> None:
    """Write a dataset of `report` as CSV, laid out as the public GTZAN tables.

    Columns: `filename, length`, 57 features, `label`. `names` maps `track_id` to the file name;
    for segments, their number comes before its suffix.
    """
    import pandas as pd

    table = pd.read_parquet(dataset)
    several = dataset.name == SHORT
    songs = [Path(names[track_id]) for track_id in table["track_id"]]
    numbers = [f".{segment}" if several else "" for segment in table["segment"]]
    filename = [f"{s.stem}{n}{s.suffix}" for s, n in zip(songs, numbers, strict=True)]
    table.insert(0, "filename", filename)
    table.insert(1, "length", length)
    table["label"] = table["genre"]
    target.parent.mkdir(parents=True, exist_ok=True)
    table[["filename", "length", *NAMES, "label"]].to_csv(target, index=False)
