"""Two songs laid on each other: whether they agree, where, and in how many bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.duplicates.fingerprint import BITS, UNHEARD, WORDS_PER_SECOND, Words

NEARBY = 1  # words to each side of an offset that are tried
AROUND = round(WORDS_PER_SECOND)  # words to each side that are judged together: 2 s
HEARD = 0.5  # share of a stretch in which there must be something to hear
SHORT = 0.8  # share of a song shorter than what is asked for that must agree
LEAST_SECONDS = 1.0  # that are ever taken for a copy


@dataclass(frozen=True)
class Match:
    """The songs `first` and `second`, by their places, share a recording.

    Word n of the first is word n + `offset` of the second. `words` of them agree, in the share
    `similarity` of their bits (different recordings: one half).
    """

    first: int
    second: int
    offset: int
    words: int
    similarity: float

    @property
    def offset_seconds(self) -> float:
        """What is heard at t seconds of the first is heard at t + this of the second."""
        return self.offset / WORDS_PER_SECOND

    @property
    def seconds(self) -> float:
        """How much of the recording the two share."""
        return self.words / WORDS_PER_SECOND


def align(
    prints: Sequence[Words],
    first: int,
    second: int,
    offset: int,
    min_words: int,
    max_bit_error: float,
) -> Match | None:
    """Compare two songs at `offset` and close to it; null where they share nothing.

    They match where `min_words` lie in stretches of which half can be heard and at most the share
    `max_bit_error` of the bits differs. Of a song that is shorter, four fifths must.
    """
    a, b = prints[first], prints[second]
    length = min(min_words, int(SHORT * min(len(a), len(b))))
    if length < LEAST_SECONDS * WORDS_PER_SECOND:
        return None
    found = [
        _agreement(a, b, near, length, max_bit_error)
        for near in range(offset - NEARBY, offset + NEARBY + 1)
    ]
    best = max(range(len(found)), key=lambda number: found[number])
    words, similarity = found[best]
    if not words:
        return None
    return Match(first, second, offset - NEARBY + best, words, similarity)


def _agreement(
    a: Words, b: Words, offset: int, length: int, max_bit_error: float
) -> tuple[int, float]:
    """How many words of `a` agree with `b`, and in which share of their bits; (0, 0) for no match.

    A word agrees where the words around it do, taken together; so a stretch that is shared counts
    for as long as it is, and no longer.
    """
    begin, end = max(0, -offset), min(len(a), len(b) - offset)
    if end - begin < length:
        return 0, 0.0
    one, other = a[begin:end], b[begin + offset : end + offset]
    heard = (one != UNHEARD) & (other != UNHEARD)
    wrong = np.bitwise_count(one ^ other) * heard
    size, heard_there, wrong_there = (_around(x) for x in (np.ones_like(heard), heard, wrong))
    agree = heard & (heard_there >= HEARD * size)
    agree &= wrong_there <= max_bit_error * BITS * heard_there
    words = int(agree.sum())
    if words < length:
        return 0, 0.0
    return words, 1 - int(wrong[agree].sum()) / (BITS * words)


def _around(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The sum of the values around each, `AROUND` to each side where there are as many."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    place = np.arange(len(values))
    last = np.minimum(place + AROUND + 1, len(values))
    sums: npt.NDArray[np.int64] = total[last] - total[np.maximum(place - AROUND, 0)]
    return sums
