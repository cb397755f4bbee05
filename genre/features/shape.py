"""Where the energy of each frame lies: centroid, bandwidth and roll-off.

Conventions: `magnitudes` as in `spectrum`, shape=(n_blocks, n_bins, LANES), float32; results in
Hz, float64, shape=(n_frames,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features import filters
from genre.features.compiled import FINITE, LANES, kernel
from genre.features.spectrum import Frames, Magnitudes

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
    moments, below = np.empty((n, 3)), np.empty(n, np.int64)
    _moments(magnitudes.reshape(frames.n_blocks, -1), moments)
    _bins_below(magnitudes.reshape(frames.n_blocks, -1), below)
    total, first, second = moments[: frames.n_frames].T
    total = np.where(total < SILENT, 1.0, total)
    hz_per_bin = sr / frames.n_fft
    centroid = first / total
    bandwidth = np.sqrt(np.maximum(second / total - centroid**2, 0.0))
    rolloff = filters.frequencies(sr, frames.n_fft)[below[: frames.n_frames]]
    return centroid * hz_per_bin, bandwidth * hz_per_bin, rolloff


@kernel("void(f4[:, ::1], f8[:, ::1])", rounding=FINITE)
def _moments(magnitudes, moments):  # type: ignore[no-untyped-def]
    """Sum each frame's magnitudes, and the same times the bin's number once and twice."""
    n_blocks, size = magnitudes.shape
    for block in range(n_blocks):
        sums = np.zeros(3 * LANES)
        for k in range(size // LANES):
            row = magnitudes[block, k * LANES : (k + 1) * LANES]
            number = np.float64(k)
            square = number * number
            for j in range(LANES):
                value = np.float64(row[j])
                sums[j] += value
                sums[LANES + j] += number * value
                sums[2 * LANES + j] += square * value
        for j in range(LANES):
            for moment in range(3):
                moments[block * LANES + j, moment] = sums[moment * LANES + j]


@kernel("void(f4[:, ::1], i8[::1])", rounding=FINITE)
def _bins_below(magnitudes, below):  # type: ignore[no-untyped-def]
    """Count the bins at which the running sum of a frame has not reached its threshold."""
    n_blocks, size = magnitudes.shape
    for block in range(n_blocks):
        total = np.zeros(LANES, np.float32)
        for k in range(size // LANES):
            row = magnitudes[block, k * LANES : (k + 1) * LANES]
            for j in range(LANES):
                total[j] += row[j]
        # One array, so that the compiler sees that its parts do not overlap.
        both = np.zeros(2 * LANES, np.float32)
        for k in range(size // LANES):
            row = magnitudes[block, k * LANES : (k + 1) * LANES]
            for j in range(LANES):
                both[j] += row[j]
                both[LANES + j] += np.float32(both[j] < ROLL_PERCENT * total[j])
        for j in range(LANES):
            below[block * LANES + j] = np.int64(both[LANES + j])
