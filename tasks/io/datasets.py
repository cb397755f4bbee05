"""Parquet datasets with a row a clip and a row a segment: how each feature family is kept.

A family's folder holds `30s`, a row a song, and `3s`, ten; both have `track_id, genre, segment,
start_s` and the family's columns, and are sorted by `track_id` and `segment`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import SEGMENT_SECONDS
from genre.core.compute import Failed, Song, Source
from genre.core.params import ComputeParams
from tasks.io.songs import Tally, each_song

LONG, SHORT = "30s", "3s"
CLIPS_TOGETHER = 512  # in a Parquet row group
PART = "part-0.parquet"

Rows = npt.NDArray[Any]


class TableWriter:
    """Writes rows in order to the one file of a Parquet dataset, a row group at a time."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        dtype: npt.DTypeLike,
        *,
        seconds: float = SEGMENT_SECONDS,
    ) -> None:
        """Start the dataset in the new folder `folder`, with columns `names` of type `dtype`.

        A song's rows start `seconds` after each other.
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
        """Add one clip's rows, one a segment [shape=(segments, columns)]."""
        self._clips.append((track_id, genre, rows))
        if len(self._clips) == CLIPS_TOGETHER:
            self._flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is left; after an error the file will be thrown away, so it may end anyhow."""
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


def write_datasets(
    folder: Path,
    songs: Sequence[Song],
    work: Callable[[Source, str], bytes],
    *,
    genres: Mapping[str, str],
    names: Sequence[str],
    decode: Callable[[bytes], Rows],
    cache_key: str,
    compute: ComputeParams,
    root: Path,
    what: str,
    preload: Sequence[str] = (),
    dtype: npt.DTypeLike = np.float64,
) -> Tally:
    """Write `folder/30s` and `folder/3s`: what `work` makes of each song that has a genre.

    `decode` gives of its bytes the rows [shape=(1 + segments, len(names))], the clip's own first,
    of `dtype`. `cache_key` and `preload` are as in `each_song`. A song that fails is named and
    left out.
    """
    tally = Tally()
    results = each_song(
        [song for song in songs if song.name in genres],
        work,
        cache_key=cache_key,
        compute=compute,
        root=root,
        what=what,
        tally=tally,
        preload=preload,
    )
    with (
        TableWriter(folder / LONG, names, dtype) as long,
        TableWriter(folder / SHORT, names, dtype) as short,
    ):
        for song, result in results:
            if isinstance(result, Failed):
                continue
            rows = decode(result)
            long.add(song.name, genres[song.name], rows[:1])
            short.add(song.name, genres[song.name], rows[1:])
    tally.print_set_aside(root)
    return tally
