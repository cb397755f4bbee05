"""Spectral contrast: the level difference of the loudest and the quietest bins of each octave.

It separates voices and strings from noise and drums with the same average spectrum (Jiang et al.,
"Music type classification by spectral contrast feature", 2002).

Conventions: magnitudes as in `genre.features.report.spectrum`.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.features.extended.names import N_BANDS
from genre.features.report import filters
from genre.features.report.compiled import FINITE, kernel
from genre.features.report.lanes import LANES, load, spread, store, where_less
from genre.features.report.spectrum import Frames, Magnitudes

LOWEST = 200.0  # Hz: the end of the first band; each of the others is an octave
N_OCTAVES = N_BANDS - 1
QUANTILE = 0.02  # of a band's bins are its peak, and its valley
FLOOR = 1e-10  # of a magnitude: librosa's `amin`
DYNAMIC_RANGE = 80.0  # dB: librosa's `top_db`
LOUDEST = np.float32(np.finfo(np.float32).max)

Contrast = npt.NDArray[np.float64]


def contrast(magnitudes: Magnitudes, sr: float, frames: Frames) -> Contrast:
    """Peak over valley of each band in dB, shape=(N_BANDS, n_frames).

    As `librosa.feature.spectral_contrast`. Raises `InputError` if the highest octave begins
    above `sr / 2`, or a band has no bin.
    """
    bands = _bands(sr, frames.n_fft)
    shape = (N_BANDS, frames.n_blocks * LANES)
    peaks, valleys = np.empty(shape, np.float32), np.empty(shape, np.float32)
    _extremes(magnitudes.reshape(frames.n_blocks, -1), bands, peaks, valleys)
    return _decibels(peaks[:, : frames.n_frames]) - _decibels(valleys[:, : frames.n_frames])


@lru_cache(maxsize=8)
def _bands(sr: float, n_fft: int) -> npt.NDArray[np.int64]:
    """First bin, bin after the last, and number of extreme bins of each band."""
    highest = LOWEST * 2.0 ** (N_OCTAVES - 1)
    if sr <= 2 * highest:
        raise InputError(
            f"sr is {sr:g} Hz, expected above {2 * highest:g} Hz: the highest octave of the "
            f"spectral contrast begins at {highest:g} Hz"
        )
    hz = filters.frequencies(sr, n_fft)
    edges = np.concatenate([[0.0], LOWEST * 2.0 ** np.arange(N_BANDS)])
    bands = []
    for band, (low, high) in enumerate(pairwise(edges)):
        inside = np.flatnonzero((hz >= low) & (hz <= high))
        if not len(inside):
            raise InputError(
                f"n_fft is {n_fft} samples at {sr:g} Hz, expected more: no frequency lies between "
                f"{low:g} and {high:g} Hz"
            )
        # librosa adds the bin below the band to it, and leaves out its last but for the highest.
        first = int(inside[0]) - (band > 0)
        last = int(inside[-1]) if band < N_OCTAVES else len(hz) - 1
        extreme = max(1, int(np.rint(QUANTILE * (last + 1 - first))))
        bands.append((first, last + (band == N_OCTAVES), extreme))
    return np.array(bands, np.int64)


def _decibels(magnitudes: npt.NDArray[np.float32]) -> Contrast:
    """As `librosa.power_to_db`, which librosa uses here although these are magnitudes."""
    decibels: Contrast = 10.0 * np.log10(np.maximum(magnitudes.astype(np.float64), FLOOR))
    floored: Contrast = np.maximum(decibels, decibels.max() - DYNAMIC_RANGE)
    return floored


@kernel("void(f4[:, ::1], i8[:, ::1], f4[:, ::1], f4[:, ::1])", rounding=FINITE)
def _extremes(magnitudes, bands, peaks, valleys):  # type: ignore[no-untyped-def]
    """Average the greatest and the least bins of each band.

    They are kept sorted; a bin goes down the two lists and leaves in each place the greater, or
    the lesser, of itself and what was there.
    """
    most = bands[:, 2].max() * LANES
    high, low = np.empty(most, np.float32), np.empty(most, np.float32)
    for block in range(len(magnitudes)):
        for band in range(len(bands)):
            first, last, extreme = bands[band, 0], bands[band, 1], bands[band, 2]
            for i in range(0, extreme * LANES, LANES):
                store(high, i, spread(np.float32(0.0)))
                store(low, i, spread(LOUDEST))
            for k in range(first, last):
                up = down = load(magnitudes[block], k * LANES)
                for i in range(0, extreme * LANES, LANES):
                    there = load(high, i)
                    store(high, i, where_less(there, up, up, there))
                    up = where_less(there, up, there, up)
                    there = load(low, i)
                    store(low, i, where_less(down, there, down, there))
                    down = where_less(down, there, there, down)
            loud = quiet = spread(np.float32(0.0))
            for i in range(0, extreme * LANES, LANES):
                loud += load(high, i)
                quiet += load(low, i)
            scale = np.float32(1.0) / np.float32(extreme)
            store(peaks[band], block * LANES, scale * loud)
            store(valleys[band], block * LANES, scale * quiet)
