"""RMS and zero-crossing rate of each frame, from the padded signal.

Conventions: as in `spectrum`; `padded` is shape=(at least (n_frames - 1) * hop_length + n_fft,).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.report.compiled import ANY_ORDER, kernel
from genre.features.report.spectrum import Frames

Sums = npt.NDArray[np.float64]

QUIET = np.float32(1e-10)  # librosa takes what is not further from zero for zero


def rms(padded: npt.NDArray[np.float32], frames: Frames) -> npt.NDArray[np.float32]:
    """Root of the mean square, shape=(n_frames,), as `librosa.feature.rms`."""
    head, tail = np.empty(frames.n_columns), np.empty(frames.n_columns)
    _add_squares(padded, frames.n_fft % frames.hop_length, head, tail)
    return np.sqrt((_over_frames(head, tail, frames) / frames.n_fft).astype(np.float32))


def zero_crossing_rate(padded: npt.NDArray[np.float32], frames: Frames) -> npt.NDArray[np.float64]:
    """Share of samples whose sign is not that of the one before, shape=(n_frames,).

    As `librosa.feature.zero_crossing_rate`, which repeats the first and last sample outside, and
    does not use the sample before a frame.
    """
    first = frames.padding
    negative = padded[first : first + frames.n_samples] < -QUIET
    crossings = np.zeros(len(padded), np.uint8)
    crossings[first + 1 : first + frames.n_samples] = negative[1:] != negative[:-1]
    head, tail = np.empty(frames.n_columns), np.empty(frames.n_columns)
    _count(crossings, frames.n_fft % frames.hop_length, head, tail)
    starts = crossings[: frames.n_frames * frames.hop_length : frames.hop_length]
    return (_over_frames(head, tail, frames) - starts) / frames.n_fft


def _over_frames(head: Sums, tail: Sums, frames: Frames) -> Sums:
    """Return the sum over each frame from the sums over what `hop_length` divides it into.

    `head` holds the sums over the first `n_fft % hop_length` samples after each multiple of
    `hop_length`, which is how far a frame reaches into its last part, `tail` over the others.
    """
    whole, n = frames.n_fft // frames.hop_length, frames.n_frames
    total: Sums = head[whole : whole + n].copy()
    both = head + tail
    for part in range(whole):
        total += both[part : part + n]
    return total


@kernel("void(f4[::1], i8, f8[::1], f8[::1])", rounding=ANY_ORDER)
def _add_squares(padded, split, head, tail):  # type: ignore[no-untyped-def]
    width = len(padded) // len(head)
    for column in range(len(head)):
        start, middle = column * width, column * width + split
        first = second = 0.0
        for n in range(start, middle):
            first += np.float64(padded[n]) * np.float64(padded[n])
        for n in range(middle, start + width):
            second += np.float64(padded[n]) * np.float64(padded[n])
        head[column], tail[column] = first, second


@kernel("void(u1[::1], i8, f8[::1], f8[::1])")
def _count(crossings, split, head, tail):  # type: ignore[no-untyped-def]
    width = len(crossings) // len(head)
    for column in range(len(head)):
        start, middle = column * width, column * width + split
        first = second = np.uint32(0)
        for n in range(start, middle):
            first = np.uint32(first + np.uint32(crossings[n]))
        for n in range(middle, start + width):
            second = np.uint32(second + np.uint32(crossings[n]))
        head[column], tail[column] = first, second
