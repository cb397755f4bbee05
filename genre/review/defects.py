"""Find clips that are mostly noise, hum, digital silence or clipped: measure, then judge.

Each segment of a clip has four measures, all between 0 and 1:

flatness
    the spectral flatness of the segment's mean spectrum within half octaves (geometric over
    arithmetic mean of the power), weighted by the power of each half octave. Noise of any colour is
    near 1, sounds with a pitch are not.
steadiness
    the share of the power that is always there: the tenth percentile over time at each frequency.
    Hum and test tones are near 1; noise has about 0.1, music less.
silence
    the share of 10 ms blocks in which no sample exceeds one step of 16 bits: dropouts and gaps.
clipping
    the share of samples within 1 % of the segment's peak.

Measures are cached; comparing them with the limits in `params.yaml` is fast.
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
NAMES = {
    "flatness": "noise",
    "steadiness": "hum or a steady tone",
    "silence": "digital silence",
    "clipping": "overdriven",
}
WINDOW = 4096  # samples: 5.4 Hz per bin, so that the lowest half octave has enough bins
LOWEST_HZ, HIGHEST_HZ = 150.0, 10_000.0  # of the half octaves; most songs have little beyond
ALWAYS_THERE = 0.10  # the quantile over time that counts as always there
BLOCK = SAMPLE_RATE // 100  # samples: 10 ms
ONE_STEP = 1.5 / 32_768  # above one step of 16 bits and below two
AT_PEAK = 0.99

Measures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Defect:
    """The defect of a clip, as a text.

    `share` of its segments are defective; `first` to `last` is the longest run of such segments.
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

    Raises `AudioError` if the file has changed or cannot be read.
    """
    return measure(read_clip(source, content)).astype("<f8").tobytes()


def read_measures(result: bytes) -> Measures:
    """The measures that `measures_of_clip` returned."""
    return np.frombuffer(result, dtype="<f8").reshape(SEGMENTS_PER_CLIP, len(MEASURES))


def judge(measures: Measures, seconds: float, limits: ReviewParams) -> Defect | None:
    """The defect of a clip from a song of `seconds`; None if most of it is in order.

    Segments that are mostly padding after the end of the song are not judged.
    """
    starts = np.arange(SEGMENTS_PER_CLIP) * SEGMENT_SECONDS
    judged = measures[starts + SEGMENT_SECONDS / 2 <= seconds]
    above = judged > [
        limits.noise_flatness,
        limits.steady_share,
        limits.silent_share,
        limits.clipped_share,
    ]
    silent = above[:, MEASURES.index("silence")]
    above[silent] = [name == "silence" for name in MEASURES]  # other measures only see its edges
    defective = np.asarray(above.any(axis=1))
    share = float(defective.mean())
    if share < limits.faulty_share or not share:
        return None
    seconds_of = above.sum(axis=0) * SEGMENT_SECONDS
    found = sorted(
        (-count, NAMES[name]) for name, count in zip(MEASURES, seconds_of, strict=True) if count
    )
    what = ", ".join(f"{name} in {-count} s" for count, name in found)
    first, last = _longest_run(defective)
    return Defect(f"{what} of {len(judged) * SEGMENT_SECONDS} s", share, first, last)


def _flatness(spectrum: Measures, frequencies: npt.NDArray[np.float64]) -> Measures:
    """The weighted flatness of each mean spectrum [shape=(n, bins)]; 0 for silence."""
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
    """The share of `power` [shape=(n, bins, frames)] that is always there; 0 for silence."""
    stays = np.quantile(power, ALWAYS_THERE, axis=2).sum(axis=1).astype(np.float64)
    total = power.mean(axis=2, dtype=np.float64).sum(axis=1)
    shares: Measures = np.divide(stays, total, out=np.zeros_like(total), where=total > 0)
    return np.minimum(shares, 1.0)


def _silence(parts: Samples) -> Measures:
    """The share of silent 10 ms blocks of each segment [shape=(n, samples)]."""
    count = parts.shape[1] // BLOCK
    blocks = abs(parts[:, : count * BLOCK]).reshape(len(parts), count, BLOCK)
    return np.asarray((blocks.max(axis=2) < ONE_STEP).mean(axis=1), dtype=np.float64)


def _longest_run(defective: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The first and the last number of the longest run of true values; the first of equals."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], defective, [False]]).astype(np.int8)))
    first, behind = edges[::2], edges[1::2]
    longest = int((behind - first).argmax())
    return int(first[longest]), int(behind[longest]) - 1
