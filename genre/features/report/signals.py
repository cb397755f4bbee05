"""Check the signal of an extraction, and cut a clip into segments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.audio import SEGMENT_SECONDS, SEGMENTS_PER_CLIP
from genre.core.errors import InputError

LOUDEST = 1e12  # of a sample: the squares of a greater one's spectrum do not fit into float32
SHORTEST_N_FFT = 64  # samples

Samples = npt.NDArray[np.float32]


def checked(y: npt.ArrayLike, sr: float, n_fft: int, hop_length: int) -> Samples:
    """Return `y` as float32, shape=(n,), n >= 1.

    Raises `InputError` if it is not a mono signal of finite samples, or if the numbers do
    not allow frames.
    """
    samples = np.ascontiguousarray(y, dtype=np.float32)
    if samples.ndim != 1 or len(samples) == 0:
        raise InputError(f"found samples of shape {samples.shape}, expected one channel, (n,)")
    peak = max(samples.max(), -samples.min())
    if not peak <= LOUDEST:
        raise InputError(
            f"the signal's peak is {peak:g}, expected finite samples with full scale 1"
        )
    if not (sr > 0 and hop_length >= 1 and n_fft >= SHORTEST_N_FFT):
        raise InputError(
            f"found sr={sr:g}, n_fft={n_fft}, hop_length={hop_length}, expected sr > 0, "
            f"n_fft >= {SHORTEST_N_FFT} and hop_length >= 1"
        )
    return samples


def segments(samples: Samples, sr: float) -> list[Samples]:
    """Return the ten segments of a clip: number `i` is `samples[i * 3 * sr : (i + 1) * 3 * sr]`.

    The last may be shorter. Raises `InputError` if the clip is too short to hold ten.
    """
    length = int(SEGMENT_SECONDS * sr)
    if len(samples) <= (SEGMENTS_PER_CLIP - 1) * length:
        raise InputError(
            f"the signal has {len(samples)} samples, expected {SEGMENTS_PER_CLIP * length} for "
            f"{SEGMENTS_PER_CLIP} segments of {SEGMENT_SECONDS} s at {sr:g} Hz"
        )
    starts = range(0, SEGMENTS_PER_CLIP * length, length)
    return [samples[start : start + length] for start in starts]
