"""Loudness and zero crossings, frame by frame, from the padded signal itself.

Conventions: as in `spectrum`; `padded` is shape=(at least (n_frames - 1) * hop_length + n_fft,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.compiled import ANY_ORDER, kernel
from genre.features.spectrum import Frames

QUIET = np.float32(1e-10)  # librosa takes what is not further from zero for zero


def rms(padded: npt.NDArray[np.float32], frames: Frames) -> npt.NDArray[np.float32]:
    """Root of the mean square, shape=(n_frames,), as `librosa.feature.rms`."""
    power = np.empty(frames.n_frames)
    _power(padded, frames.n_fft, frames.hop_length, power)
    return np.sqrt(power.astype(np.float32))


def zero_crossing_rate(padded: npt.NDArray[np.float32], frames: Frames) -> npt.NDArray[np.float64]:
    """Share of samples whose sign is not that of the one before, shape=(n_frames,).

    As `librosa.feature.zero_crossing_rate`, which repeats the first and last sample outside.
    """
    first = frames.padding
    negative = padded[first : first + frames.n_samples] < -QUIET
    crossings = np.zeros(len(padded), np.uint8)
    np.not_equal(
        negative[1:], negative[:-1], out=crossings[first + 1 : first + len(negative)].view(bool)
    )
    counts = np.empty(frames.n_frames, np.int64)
    _count(crossings, frames.n_fft, frames.hop_length, counts)
    return counts / frames.n_fft


@kernel("void(f4[::1], i8, i8, f8[::1])", rounding=ANY_ORDER)
def _power(padded, n_fft, hop_length, power):  # type: ignore[no-untyped-def]
    for frame in range(len(power)):
        start = frame * hop_length
        total = 0.0
        for n in range(start, start + n_fft):
            sample = np.float64(padded[n])
            total += sample * sample
        power[frame] = total / n_fft


@kernel("void(u1[::1], i8, i8, i8[::1])")
def _count(crossings, n_fft, hop_length, counts):  # type: ignore[no-untyped-def]
    for frame in range(len(counts)):
        start = frame * hop_length
        # The first sample of a frame has none before it.
        total = np.int32(0)
        for n in range(start + 1, start + n_fft):
            total += np.int32(crossings[n])
        counts[frame] = total
