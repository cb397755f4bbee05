"""The features of one clip of the pipeline, as the bytes that workers send and the store keeps.

The rows are float64, shape=(1 + SEGMENTS_PER_CLIP, columns): the clip's own, then its segments'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, SEGMENTS_PER_CLIP, read_clip
from genre.features.report import NAMES, extract_clip

Rows = npt.NDArray[np.float64]

# What a worker needs compiled; loaded once, before workers are forked, where it can be.
KERNELS = tuple(
    f"genre.features.report.{name}"
    for name in ("harmonic", "pitch", "rhythm", "shape", "spectrum", "temporal", "timbre")
)


def rows_of_clip(
    source: Path | bytes,
    content: str,
    *,
    n_fft: int,
    hop_length: int,
    names: Sequence[str] = NAMES,
    extract: Callable[..., Any] = extract_clip,
) -> bytes:
    """The rows of the clip whose sha256 is `content`: the columns `names` that `extract` gives.

    Raises `AudioError` if the clip has changed or cannot be read.
    """
    y = read_clip(source, content)
    clip, segments = extract(y, SAMPLE_RATE, n_fft=n_fft, hop_length=hop_length)
    rows = [[row[name] for name in names] for row in (clip, *segments)]
    return np.array(rows, dtype="<f8").tobytes()


def decode_rows(result: bytes) -> Rows:
    """The rows that `rows_of_clip` returned."""
    return np.frombuffer(result, dtype="<f8").reshape(1 + SEGMENTS_PER_CLIP, -1)
