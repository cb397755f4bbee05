"""Which songs of a collection may share a recording, without comparing each with each.

All words of all songs are sorted once; equal words then lie side by side, and each tells of two
songs and of the offset between them. Different recordings have about one word in a thousand in
common with a collection of two hours, at offsets that never agree; copies have hundreds, at one
offset. Work and memory grow with the number of words, and with nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genre.duplicates.alignment import Match, align
from genre.duplicates.fingerprint import UNHEARD, Words

Integers = npt.NDArray[np.int64]

NEIGHBOURS = 24  # following occurrences of its word that each word is compared with
VOTES = 2  # equal words at (nearly) the same offset that make two songs worth comparing
OFFSETS = 4  # of two songs that are looked at, those with the most votes first
TOGETHER = 1 << 20  # words looked up at once
OFFSET_BITS, SONG_BITS = 22, 20  # in the key of a vote: offsets to 13 hours, a million songs
MIDDLE = 1 << (OFFSET_BITS - 1)


def matches(prints: Sequence[Words], *, min_words: int, max_bit_error: float) -> list[Match]:
    """The pairs of songs that share at least `min_words` of a recording, in order.

    `prints` holds the words of each song; `max_bit_error` is the share of bits in which copies may
    differ. Where there are very many copies of one song, each is matched with some of them.
    """
    found: dict[tuple[int, int], Match] = {}
    for first, second, offset in candidates(prints).tolist():
        match = align(prints, first, second, offset, min_words, max_bit_error)
        if match is None:
            continue
        best = found.get((first, second))
        if best is None or match.words > best.words:
            found[first, second] = match
    return [found[pair] for pair in sorted(found)]


def candidates(prints: Sequence[Words]) -> Integers:
    """Songs worth comparing: `first, second, offset`, int64 [shape=(candidates, 3)].

    Word n of the first song is laid on word n + `offset` of the second; first < second. A pair of
    songs comes up to `OFFSETS` times.
    """
    keys, votes = _votes(prints)
    # An offset between two frames divides its votes among both.
    total = votes.copy()
    beside = np.diff(keys) == 1
    total[1:][beside] += votes[:-1][beside]
    total[:-1][beside] += votes[1:][beside]
    enough = total >= VOTES
    keys, total = keys[enough], total[enough]
    pairs = keys >> OFFSET_BITS
    order = np.lexsort((keys, -total, pairs))
    _, start, size = np.unique(pairs[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(start, size)
    chosen = keys[order][rank < OFFSETS]
    pairs, offsets = chosen >> OFFSET_BITS, (chosen & (2 * MIDDLE - 1)) - MIDDLE
    songs = pairs >> SONG_BITS, pairs & ((1 << SONG_BITS) - 1)
    return np.stack([*songs, offsets], axis=1)


def _votes(prints: Sequence[Words]) -> tuple[Integers, Integers]:
    """For each two songs and offset at which words agree, a key, ascending, and how many do."""
    words, places = _shared_words(prints)
    starts = np.concatenate([[0], np.cumsum([len(words) for words in prints])])
    parts = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))]
    for begin in range(0, len(words), TOGETHER):
        end = begin + TOGETHER
        keys = []
        for step in range(1, NEIGHBOURS + 1):
            later = words[begin + step : end + step]
            same = np.flatnonzero(words[begin : begin + len(later)] == later) + begin
            if not len(same):
                break
            keys.append(_keys(places[same], places[same + step], starts))
        parts.append(_counted(np.concatenate(keys)) if keys else parts[0])
    keys_found = np.concatenate([keys for keys, _ in parts])
    return _counted(keys_found, np.concatenate([votes for _, votes in parts]))


def _shared_words(prints: Sequence[Words]) -> tuple[Words, Integers]:
    """The words that occur more than once, sorted, and where: places in all words in a row."""
    words = np.concatenate([np.zeros(0, dtype=np.uint32), *prints])
    again = np.zeros(len(words), dtype=bool)
    again[1:] = words[1:] == words[:-1]  # a word that lasts says nothing more the second time
    places = np.flatnonzero((words != UNHEARD) & ~again)
    words = words[places]
    order = np.argsort(words, kind="stable")
    words, places = words[order], places[order]
    equal = words[1:] == words[:-1]
    shared = np.zeros(len(words), dtype=bool)
    shared[1:] = equal
    shared[:-1] |= equal
    return words[shared], places[shared]


def _keys(one: Integers, other: Integers, starts: Integers) -> Integers:
    """The keys of the votes of words at `one` and `other`, two songs, one before the other."""
    first = np.searchsorted(starts, one, side="right") - 1
    second = np.searchsorted(starts, other, side="right") - 1
    offset = (other - starts[second]) - (one - starts[first])
    keys = ((first << SONG_BITS | second) << OFFSET_BITS) + offset + MIDDLE
    different: Integers = keys[first != second]
    return different


def _counted(keys: Integers, votes: Integers | None = None) -> tuple[Integers, Integers]:
    """The different keys, ascending, and the sum of the votes of each; without votes, one each."""
    if votes is None:
        return np.unique(keys, return_counts=True)
    different, place = np.unique(keys, return_inverse=True)
    summed = np.zeros(len(different), dtype=np.int64)
    np.add.at(summed, place, votes)
    return different, summed
