"""Compare the fingerprints of two songs at an offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.duplicates.fingerprint import BITS, SUBFINGERPRINTS_PER_SECOND, UNRELIABLE, Fingerprint

NEARBY = 1  # frames around an offset that are tried, too
WINDOW_SIDE = round(SUBFINGERPRINTS_PER_SECOND)  # frames on each side of a window (2 s in all)
MIN_RELIABLE = 0.5  # share of a window that must not be `UNRELIABLE`
SHORT = 0.8  # share that must match of a song shorter than the minimum
LEAST_SECONDS = 1.0  # shorter matches do not count


@dataclass(frozen=True)
class Match:
    """The songs `first` and `second` (their indices) share a recording.

    Frame n of the first song is frame n + `offset` of the second. `length` frames match; in these
    the share `similarity` of the bits is equal (one half for different recordings).
    """

    first: int
    second: int
    offset: int
    length: int
    similarity: float

    @property
    def offset_seconds(self) -> float:
        """The position t seconds in the first song is t + this in the second."""
        return self.offset / SUBFINGERPRINTS_PER_SECOND

    @property
    def seconds(self) -> float:
        """The length of the shared recording."""
        return self.length / SUBFINGERPRINTS_PER_SECOND


def align(
    fingerprints: Sequence[Fingerprint],
    first: int,
    second: int,
    offset: int,
    min_length: int,
    max_bit_error: float,
) -> Match | None:
    """Compare two songs at `offset` and one frame around it; return None if they do not match.

    They match if at least `min_length` frames match: in a window of 2 s around each, half of the
    frames are reliable and at most the share `max_bit_error` of the bits differs. Of a song that is
    shorter than `min_length`, four fifths must match.
    """
    a, b = fingerprints[first], fingerprints[second]
    needed = min(min_length, int(SHORT * min(len(a), len(b))))
    if needed < LEAST_SECONDS * SUBFINGERPRINTS_PER_SECOND:
        return None
    found = [
        _matching_frames(a, b, near, needed, max_bit_error)
        for near in range(offset - NEARBY, offset + NEARBY + 1)
    ]
    best = max(range(len(found)), key=lambda number: found[number])
    length, similarity = found[best]
    if not length:
        return None
    return Match(first, second, offset - NEARBY + best, length, similarity)


def _matching_frames(
    a: Fingerprint, b: Fingerprint, offset: int, needed: int, max_bit_error: float
) -> tuple[int, float]:
    """Return the number of matching frames and the share of equal bits in them; (0, 0) if none."""
    begin, end = max(0, -offset), min(len(a), len(b) - offset)
    if end - begin < needed:
        return 0, 0.0
    one, other = a[begin:end], b[begin + offset : end + offset]
    reliable = (one != UNRELIABLE) & (other != UNRELIABLE)
    wrong = np.bitwise_count(one ^ other) * reliable
    size, reliable_around, wrong_around = (
        _window_sum(x) for x in (np.ones_like(reliable), reliable, wrong)
    )
    agree = reliable & (reliable_around >= MIN_RELIABLE * size)
    agree &= wrong_around <= max_bit_error * BITS * reliable_around
    length = int(agree.sum())
    if length < needed:
        return 0, 0.0
    return length, 1 - int(wrong[agree].sum()) / (BITS * length)


def _window_sum(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Sum the values in a window of `WINDOW_SIDE` on each side, shorter at the ends."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    position = np.arange(len(values))
    last = np.minimum(position + WINDOW_SIDE + 1, len(values))
    sums: npt.NDArray[np.int64] = total[last] - total[np.maximum(position - WINDOW_SIDE, 0)]
    return sums
