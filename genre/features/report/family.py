"""The family `report`: the 57 columns of the student report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from genre.audio import SAMPLE_RATE, SEGMENT_SAMPLES, Samples
from genre.features.families import Extractor, Rows
from genre.features.report import NAMES, extract


class Report(Extractor):
    """The columns `NAMES`, which `extract` computes from a signal of any length."""

    names: ClassVar[tuple[str, ...]] = NAMES
    extract: ClassVar[Callable[..., dict[str, float]]] = staticmethod(extract)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.names

    def segments(self, y: Samples, starts: Sequence[int]) -> Rows:
        """One row per segment, each computed from its samples only."""
        return np.vstack([self.whole(y[start : start + SEGMENT_SAMPLES]) for start in starts])

    def whole(self, y: Samples) -> Rows:
        """The row of a signal."""
        frames = self.settings
        row = self.extract(y, SAMPLE_RATE, n_fft=frames.n_fft, hop_length=frames.hop_length)
        return np.array([row[name] for name in self.names], dtype=np.float64)
