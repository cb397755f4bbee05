"""Clips that are mostly noise, hum, digital silence or overdriven: measured, then judged.

Each segment of a clip has four measures, all between 0 and 1:

flatness
    how smooth the segment's mean spectrum is within half octaves: the geometric over the
    arithmetic mean of the power, weighted by the power of each half octave. Noise of any colour
    comes near 1, as its bins even out over time; whatever has a pitch does not.
steadiness
    the share of the power that never goes away: of each frequency the tenth percentile over time.
    Hum and test tones come near 1; noise has about 0.1, music less.
silence
    the share of 10 ms blocks in which no sample exceeds one step of 16 bits: dropouts and gaps.
clipping
    the share of samples within 1 % of the segment's peak: what is driven into its limits.

Measures are what costs time and are kept; judging them by the limits of `params.yaml` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, SEGMENT_SECONDS, SEGMENTS_PER_CLIP, Samples, read_clip, segment

if TYPE_CHECKING:
    from genre.core.params import ReviewParams

MEASURES = ("flatness", "steadiness", "silence", "clipping")
WORDS = {
    "flatness": "noise",
    "steadiness": "hum or a steady tone",
    "silence": "digital silence",
    "clipping": "overdriven",
}
WINDOW = 4096  # samples: 5.4 Hz a bin, so that a half octave has bins enough at its low end
LOWEST_HZ, HIGHEST_HZ = 150.0, 10_000.0  # of the half octaves; most songs have little beyond
ALWAYS_THERE = 0.10  # the quantile over time that is taken as what never goes away
BLOCK = SAMPLE_RATE // 100  # samples: 10 ms
ONE_STEP = 1.5 / 32_768  # above one step of 16 bits and below two
AT_PEAK = 0.99

Measures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """Why a clip is listed, and where to listen.

    `share` of its segments are faulty; segments `first` to `last` are the longest stretch of such.
    """

    what: str
    share: float
    first: int
    last: int


def measure(y: Samples) -> Measures:
    """The measures of a clip [shape=(CLIP_SAMPLES,)]: float64, shape=(SEGMENTS_PER_CLIP, 4)."""
    from scipy.signal import spectrogram

    parts = segment(y)
    frequencies, _, power = spectrogram(
        parts, SAMPLE_RATE, "hann", nperseg=WINDOW, noverlap=WINDOW // 2, detrend=False
    )
    peak = abs(parts).max(axis=1, keepdims=True)
    clipping = (abs(parts) >= AT_PEAK * peak).mean(axis=1)
    return np.stack(
        [
            _flatness(power.mean(axis=2, dtype=np.float64), frequencies),
            _steadiness(power),
            _silence(parts),
            np.where(peak[:, 0] > 0, clipping, 0.0),
        ],
        axis=1,
    )


def measures_of_clip(source: Path | bytes, content: str) -> bytes:
    """The measures of the clip whose sha256 is `content`, as bytes.

    Raises `AudioError` where the clip is another by now, or cannot be read.
    """
    return measure(read_clip(source, content)).astype("<f8").tobytes()


def read_measures(result: bytes) -> Measures:
    """The measures that `measures_of_clip` returned."""
    return np.frombuffer(result, dtype="<f8").reshape(SEGMENTS_PER_CLIP, len(MEASURES))


def judge(measures: Measures, seconds: float, limits: ReviewParams) -> Fault | None:
    """The fault of a clip from a song of `seconds`, None where it is mostly as it should be.

    Segments of which most lies behind the end of the song (silence that trim appended) are not
    judged.
    """
    starts = np.arange(SEGMENTS_PER_CLIP) * SEGMENT_SECONDS
    heard = measures[starts + SEGMENT_SECONDS / 2 <= seconds]
    above = heard > [
        limits.noise_flatness,
        limits.steady_share,
        limits.silent_share,
        limits.clipped_share,
    ]
    silent = above[:, MEASURES.index("silence")]
    above[silent] = [name == "silence" for name in MEASURES]  # what else is heard is its edges
    faulty = np.asarray(above.any(axis=1))
    share = float(faulty.mean())
    if share < limits.faulty_share or not share:
        return None
    seconds_of = above.sum(axis=0) * SEGMENT_SECONDS
    found = sorted(
        (-count, WORDS[name]) for name, count in zip(MEASURES, seconds_of, strict=True) if count
    )
    what = ", ".join(f"{words} in {-count} s" for count, words in found)
    first, last = _longest_stretch(faulty)
    return Fault(f"{what} of {len(heard) * SEGMENT_SECONDS} s", share, first, last)


def _flatness(spectrum: Measures, frequencies: npt.NDArray[np.float64]) -> Measures:
    """The weighted flatness of each mean spectrum [shape=(n, bins)]; 0 where there is no power."""
    octaves = np.log2(HIGHEST_HZ / LOWEST_HZ)
    edges = LOWEST_HZ * 2 ** np.arange(0, octaves + 0.5, 0.5)
    bounds = np.searchsorted(frequencies, edges[edges <= HIGHEST_HZ])
    flatness, powers = [], []
    for low, high in pairwise(bounds):
        band = np.maximum(spectrum[:, low:high], np.finfo(np.float32).tiny)
        arithmetic = band.mean(axis=1)
        flatness.append(np.exp(np.log(band).mean(axis=1)) / arithmetic)
        powers.append(spectrum[:, low:high].sum(axis=1))
    weights = np.array(powers)
    total = weights.sum(axis=0)
    weighted = (weights * np.array(flatness)).sum(axis=0)
    shares: Measures = np.divide(weighted, total, out=np.zeros_like(total), where=total > 0)
    return shares


def _steadiness(power: npt.NDArray[np.float32]) -> Measures:
    """The share of the power that stays [power shape=(n, bins, frames)]; 0 without power."""
    stays = np.quantile(power, ALWAYS_THERE, axis=2).sum(axis=1).astype(np.float64)
    total = power.mean(axis=2, dtype=np.float64).sum(axis=1)
    shares: Measures = np.divide(stays, total, out=np.zeros_like(total), where=total > 0)
    return np.minimum(shares, 1.0)


def _silence(parts: Samples) -> Measures:
    """The share of silent 10 ms blocks of each segment [shape=(n, samples)]."""
    count = parts.shape[1] // BLOCK
    blocks = abs(parts[:, : count * BLOCK]).reshape(len(parts), count, BLOCK)
    return np.asarray((blocks.max(axis=2) < ONE_STEP).mean(axis=1), dtype=np.float64)


def _longest_stretch(faulty: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The first and the last number of the longest run of true values; the first of equals."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], faulty, [False]]).astype(np.int8)))
    first, behind = edges[::2], edges[1::2]
    longest = int((behind - first).argmax())
    return int(first[longest]), int(behind[longest]) - 1
