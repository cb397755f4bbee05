"""The mel spectrum in decibels, and the cepstral coefficients of it.

Conventions: magnitudes as in `spectrum`; a mel spectrum is float32, shape=(n_frames, N_MELS), in
decibels below full scale, cut off 80 dB below the loudest.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from genre.features.report import filters
from genre.features.report.compiled import FINITE, kernel
from genre.features.report.filters import N_MELS
from genre.features.report.lanes import LANES, load, spread, store
from genre.features.report.names import N_MFCC
from genre.features.report.spectrum import Frames, Magnitudes

FLOOR = np.float32(1e-10)  # of the power: librosa's `amin`
DYNAMIC_RANGE = np.float32(80.0)  # dB: librosa's `top_db`

PROBES = 1024  # terms looked at in one product

Mel = npt.NDArray[np.float32]


@lru_cache(maxsize=8)
def _bands(sr: float, n_fft: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the mel filter bank without its zeros, in parts.

    A part is (band, first bin, bin after the last); its weights follow those of the parts before.
    librosa adds the bins up with numpy's matrix product, in float32, and that starts a new sum
    every few hundred bins: a band across such a place is two parts.
    """
    bank = filters.mel(sr, n_fft)
    cuts = _cuts(bank.shape[1])
    parts: list[tuple[int, int, int]] = []
    for band, weights in enumerate(bank):
        used = np.flatnonzero(weights)
        if len(used):
            low, high = int(used[0]), int(used[-1]) + 1
            edges = [low, *(cut for cut in cuts if low < cut < high), high]
            parts.extend((band, a, b) for a, b in pairwise(edges))
    weights = np.concatenate([bank[band, low:high] for band, low, high in parts])
    return np.array(parts, np.int64), weights


@lru_cache(maxsize=8)
def _cuts(n_bins: int) -> list[int]:
    """Return the terms at which numpy's matrix product of this depth starts a new sum.

    In float32, 2**24 + 1 - 2**24 is 0, unless a new sum starts with the 1. The places depend on
    the processor and on the number of threads that numpy may use, and so do librosa's values, in
    their last bit. (Of fewer than eight frames the product is another, and not looked into.)
    """
    ones = np.ones((n_bins, LANES), np.float32)
    cuts: list[int] = []
    for first in range(1, n_bins - 1, PROBES):
        rows = np.arange(min(PROBES, n_bins - 1 - first))
        terms = np.zeros((PROBES, n_bins), np.float32)
        for shift, term in enumerate((2**24, 1, -(2**24)), start=first - 1):
            terms[rows, rows + shift] = term
        cuts.extend(first + int(row) for row in np.flatnonzero((terms @ ones)[:, 0]))
    return cuts


def mel_decibels(magnitudes: Magnitudes, sr: float, frames: Frames) -> Mel:
    """As `librosa.power_to_db(librosa.feature.melspectrogram(...))`, turned: frames first."""
    power = np.empty((frames.n_blocks, N_MELS * LANES), np.float32)
    _mel_power(magnitudes.reshape(frames.n_blocks, -1), *_bands(sr, frames.n_fft), power)
    by_frame = power.reshape(frames.n_blocks, N_MELS, LANES).transpose(0, 2, 1)
    decibels = np.ascontiguousarray(by_frame.reshape(-1, N_MELS)[: frames.n_frames])
    np.log10(np.maximum(decibels, FLOOR, out=decibels), out=decibels)
    decibels *= np.float32(10.0)
    np.maximum(decibels, decibels.max() - DYNAMIC_RANGE, out=decibels)
    return decibels


def mfcc(mel: Mel) -> npt.NDArray[np.float32]:
    """Mel-frequency cepstral coefficients, shape=(N_MFCC, n_frames), as `librosa.feature.mfcc`.

    The same transform as librosa's, in float32: of a few loud frames in silence the mean is so
    near zero that its rounding shows.
    """
    from scipy.fft import dct

    coefficients: npt.NDArray[np.float32] = dct(mel, axis=-1, type=2, norm="ortho")
    return np.ascontiguousarray(coefficients[:, :N_MFCC].T)


@kernel("void(f4[:, ::1], i8[:, ::1], f4[::1], f4[:, ::1])", rounding=FINITE)
def _mel_power(magnitudes, parts, weights, power):  # type: ignore[no-untyped-def]
    for block in range(len(magnitudes)):
        for i in range(power.shape[1]):
            power[block, i] = 0.0
        weight = 0
        for part in range(len(parts)):
            band, low, high = parts[part, 0], parts[part, 1], parts[part, 2]
            total = spread(np.float32(0.0))
            for k in range(low, high):
                value = load(magnitudes[block], k * LANES)
                total += weights[weight] * (value * value)
                weight += 1
            row = power[block]
            store(row, band * LANES, load(row, band * LANES) + total)
