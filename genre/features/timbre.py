"""The mel spectrum in decibels, and the cepstral coefficients of it.

Conventions: magnitudes as in `spectrum`; a mel spectrum is float32, shape=(n_frames, N_MELS), in
decibels below full scale, cut off 80 dB below the loudest.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from genre.features import filters
from genre.features.compiled import FINITE, kernel
from genre.features.filters import N_MELS
from genre.features.lanes import LANES, load, spread, store
from genre.features.names import N_MFCC
from genre.features.spectrum import Frames, Magnitudes

FLOOR = np.float32(1e-10)  # of the power: librosa's `amin`
DYNAMIC_RANGE = np.float32(80.0)  # dB: librosa's `top_db`

Mel = npt.NDArray[np.float32]


@lru_cache(maxsize=8)
def _bands(sr: float, n_fft: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the mel filter bank without its zeros.

    Band `m` adds up bins `limits[m, 0]` to `limits[m, 1]`; its weights follow those of the bands
    before it.
    """
    bank = filters.mel(sr, n_fft)
    limits = np.zeros((len(bank), 2), np.int64)
    for band, weights in enumerate(bank):
        used = np.flatnonzero(weights)
        if len(used):
            limits[band] = used[0], used[-1] + 1
    return limits, np.concatenate([w[a:b] for w, (a, b) in zip(bank, limits, strict=True)])


def mel_decibels(magnitudes: Magnitudes, sr: float, frames: Frames) -> Mel:
    """As `librosa.power_to_db(librosa.feature.melspectrogram(...))`, turned: frames first."""
    power = np.empty((frames.n_blocks, N_MELS * LANES), np.float32)
    _mel_power(magnitudes.reshape(frames.n_blocks, -1), *_bands(sr, frames.n_fft), power)
    by_frame = power.reshape(frames.n_blocks, N_MELS, LANES).transpose(0, 2, 1)
    decibels = by_frame.reshape(-1, N_MELS)[: frames.n_frames]
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
def _mel_power(magnitudes, limits, weights, power):  # type: ignore[no-untyped-def]
    for block in range(len(magnitudes)):
        weight = 0
        for band in range(len(limits)):
            total = spread(np.float32(0.0))
            for k in range(limits[band, 0], limits[band, 1]):
                value = load(magnitudes[block], k * LANES)
                total += weights[weight] * (value * value)
                weight += 1
            store(power[block], band * LANES, total)
