"""The mel spectrum in decibels, and the cepstral coefficients of it.

Conventions: magnitudes as in `spectrum`; a mel spectrum is float32, shape=(n_frames, N_MELS), in
decibels below full scale, cut off 80 dB below the loudest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from genre.features import filters
from genre.features.compiled import ANY_ORDER, FINITE, LANES, kernel
from genre.features.filters import N_MELS
from genre.features.names import N_MFCC
from genre.features.spectrum import Frames, Magnitudes

STEP = 4  # bins that are added up at once
FLOOR = np.float32(1e-10)  # of the power: librosa's `amin`
DYNAMIC_RANGE = np.float32(80.0)  # dB: librosa's `top_db`

Mel = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Bands:
    """The mel filter bank without its zeros.

    Band `m` adds up the bins from `first[m]` on with `weights[start[m] : start[m + 1]]`, whose
    number is a multiple of `STEP`.
    """

    first: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


@lru_cache(maxsize=8)
def _bands(sr: float, n_fft: int) -> _Bands:
    bank = filters.mel(sr, n_fft)
    n_bins = bank.shape[1]
    first, weights = [], []
    for band in bank:
        used = np.flatnonzero(band)
        low, high = (used[0], used[-1] + 1) if len(used) else (0, 0)
        low = max(0, min(low, n_bins - -(-(high - low) // STEP) * STEP))
        high = low + -(-(high - low) // STEP) * STEP
        first.append(low)
        weights.append(band[low:high])
    start = np.cumsum([0, *map(len, weights)])
    return _Bands(np.array(first, np.int64), start.astype(np.int64), np.concatenate(weights))


def mel_decibels(magnitudes: Magnitudes, sr: float, frames: Frames) -> Mel:
    """As `librosa.power_to_db(librosa.feature.melspectrogram(...))`, turned: frames first."""
    bands = _bands(sr, frames.n_fft)
    power = np.empty((frames.n_blocks * LANES, N_MELS), np.float32)
    flat = magnitudes.reshape(frames.n_blocks, -1)
    _mel_power(flat, bands.first, bands.start, bands.weights, power)
    decibels = power[: frames.n_frames]
    np.log10(np.maximum(decibels, FLOOR, out=decibels), out=decibels)
    decibels *= np.float32(10.0)
    return np.maximum(decibels, decibels.max() - DYNAMIC_RANGE, out=decibels)


def mfcc(mel: Mel) -> npt.NDArray[np.float32]:
    """Mel-frequency cepstral coefficients, shape=(N_MFCC, n_frames), as `librosa.feature.mfcc`."""
    coefficients = np.empty((N_MFCC, len(mel)), np.float32)
    _dct(mel, filters.dct(N_MFCC), coefficients)
    return coefficients


@kernel("void(f4[:, ::1], i8[::1], i8[::1], f4[::1], f4[:, ::1])", rounding=FINITE)
def _mel_power(magnitudes, first, start, weights, power):  # type: ignore[no-untyped-def]
    sums = np.empty(LANES, np.float32)
    for block in range(len(magnitudes)):
        for band in range(len(first)):
            for j in range(LANES):
                sums[j] = 0.0
            shift = first[band] - start[band]
            for w in range(start[band], start[band + 1], STEP):
                k = (w + shift) * LANES
                rows = magnitudes[block, k : k + STEP * LANES]
                a, b, c, d = weights[w], weights[w + 1], weights[w + 2], weights[w + 3]
                for j in range(LANES):
                    p, q = rows[j], rows[LANES + j]
                    r, s = rows[2 * LANES + j], rows[3 * LANES + j]
                    sums[j] += (a * (p * p) + b * (q * q)) + (c * (r * r) + d * (s * s))
            for j in range(LANES):
                power[block * LANES + j, band] = sums[j]


@kernel("void(f4[:, ::1], f8[:, ::1], f4[:, ::1])", rounding=ANY_ORDER)
def _dct(mel, table, coefficients):  # type: ignore[no-untyped-def]
    row = np.empty(mel.shape[1])
    for frame in range(len(mel)):
        for band in range(len(row)):
            row[band] = mel[frame, band]
        for number in range(len(table)):
            total = 0.0
            for band in range(len(row)):
                total += table[number, band] * row[band]
            coefficients[number, frame] = total
