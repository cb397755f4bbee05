"""Spectral centroid, bandwidth and roll-off of each frame.

Conventions: `magnitudes` as in `spectrum`, shape=(n_blocks, n_bins, LANES), float32; results in
Hz, float64, shape=(n_frames,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.report import filters
from genre.features.report.compiled import FINITE, kernel
from genre.features.report.lanes import LANES, load, spread, store, where_less, wide
from genre.features.report.spectrum import Frames, Magnitudes

ROLL_PERCENT = np.float32(0.85)  # librosa's default
SILENT = float(np.finfo(np.float32).tiny)  # librosa normalises no frame that sums to less

Series = npt.NDArray[np.float64]


def shape(magnitudes: Magnitudes, sr: float, frames: Frames) -> tuple[Series, Series, Series]:
    """Return the spectral centroid, bandwidth and roll-off of each frame.

    As `librosa.feature.spectral_centroid`, `spectral_bandwidth` and `spectral_rolloff`. The
    running sum behind the roll-off is float32 and goes up bin by bin as in librosa, so that a
    frame on the edge between two bins falls on the same side.
    """
    n = frames.n_blocks * LANES
    moments, below = np.empty((3, n)), np.empty(n, np.float32)
    _moments(magnitudes.reshape(frames.n_blocks, -1), moments)
    _bins_below(magnitudes.reshape(frames.n_blocks, -1), below)
    total, first, second = moments[:, : frames.n_frames]
    total = np.where(total < SILENT, 1.0, total)
    hz_per_bin = sr / frames.n_fft
    centroid = first / total
    bandwidth = np.sqrt(np.maximum(second / total - centroid**2, 0.0))
    rolloff = filters.frequencies(sr, frames.n_fft)[below[: frames.n_frames].astype(np.intp)]
    return centroid * hz_per_bin, bandwidth * hz_per_bin, rolloff


@kernel("void(f4[:, ::1], f8[:, ::1])", rounding=FINITE)
def _moments(magnitudes, moments):  # type: ignore[no-untyped-def]
    """Sum each frame's magnitudes, and the same times the bin's number once and twice."""
    n_blocks, size = magnitudes.shape
    for block in range(n_blocks):
        total = first = second = spread(0.0)
        for k in range(size // LANES):
            number = np.float64(k)
            value = wide(load(magnitudes[block], k * LANES))
            total += value
            first += number * value
            second += (number * number) * value
        for moment, value in enumerate((total, first, second)):
            store(moments[moment], block * LANES, value)


@kernel("void(f4[:, ::1], f4[::1])", rounding=FINITE)
def _bins_below(magnitudes, below):  # type: ignore[no-untyped-def]
    """Count the bins at which the running sum of a frame has not reached its threshold."""
    n_blocks, size = magnitudes.shape
    zero, one = np.float32(0.0), np.float32(1.0)
    for block in range(n_blocks):
        total = spread(zero)
        for k in range(size // LANES):
            total += load(magnitudes[block], k * LANES)
        threshold = ROLL_PERCENT * total
        running = count = spread(zero)
        for k in range(size // LANES):
            running += load(magnitudes[block], k * LANES)
            count += where_less(running, threshold, one, zero)
        store(below, block * LANES, count)
