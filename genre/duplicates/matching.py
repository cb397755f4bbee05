"""Find the songs that may share a recording, without comparing each pair.

All sub-fingerprints of all songs are sorted once. Equal ones are then neighbours, and each pair of
them is a vote for two songs and an offset. Different recordings have about one sub-fingerprint in a
thousand in common with a collection of two hours, at random offsets; copies have hundreds, at one
offset. Time and memory grow with the number of sub-fingerprints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genre.duplicates.alignment import Match, align
from genre.duplicates.fingerprint import UNRELIABLE, Fingerprint

Integers = npt.NDArray[np.int64]

MAX_NEIGHBOURS = 24  # occurrences of a sub-fingerprint that each one is paired with
MIN_VOTES = 2  # for two songs at (nearly) one offset, to compare them
MAX_OFFSETS = 4  # that are compared for two songs, those with most votes first
CHUNK = 1 << 20  # sub-fingerprints that are looked up at once
OFFSET_BITS, SONG_BITS = 22, 20  # of the key of a vote: offsets to 13 hours, a million songs
MIDDLE = 1 << (OFFSET_BITS - 1)


def matches(
    fingerprints: Sequence[Fingerprint], *, min_length: int, max_bit_error: float
) -> list[Match]:
    """Return the pairs of songs that share at least `min_length` frames of a recording, sorted.

    `fingerprints` holds one per song; `max_bit_error` is the share of bits in which copies may
    differ. If there are very many copies of a song, each is matched with some of them.
    """
    found: dict[tuple[int, int], Match] = {}
    for first, second, offset in candidates(fingerprints).tolist():
        match = align(fingerprints, first, second, offset, min_length, max_bit_error)
        if match is None:
            continue
        best = found.get((first, second))
        if best is None or match.length > best.length:
            found[first, second] = match
    return [found[pair] for pair in sorted(found)]


def candidates(fingerprints: Sequence[Fingerprint]) -> Integers:
    """Return pairs worth comparing: `first, second, offset`, int64 [shape=(candidates, 3)].

    Frame n of the first song is frame n + `offset` of the second; first < second. A pair occurs up
    to `MAX_OFFSETS` times.
    """
    keys, votes = _votes(fingerprints)
    # An offset between two frames splits its votes among both.
    total = votes.copy()
    beside = np.diff(keys) == 1
    total[1:][beside] += votes[:-1][beside]
    total[:-1][beside] += votes[1:][beside]
    enough = total >= MIN_VOTES
    keys, total = keys[enough], total[enough]
    pairs = keys >> OFFSET_BITS
    order = np.lexsort((keys, -total, pairs))
    _, start, size = np.unique(pairs[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(start, size)
    chosen = keys[order][rank < MAX_OFFSETS]
    pairs, offsets = chosen >> OFFSET_BITS, (chosen & (2 * MIDDLE - 1)) - MIDDLE
    songs = pairs >> SONG_BITS, pairs & ((1 << SONG_BITS) - 1)
    return np.stack([*songs, offsets], axis=1)


def _votes(fingerprints: Sequence[Fingerprint]) -> tuple[Integers, Integers]:
    """Count equal sub-fingerprints by two songs and offset: sorted keys, and votes."""
    values, positions = _shared_values(fingerprints)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in fingerprints])])
    parts = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))]
    for begin in range(0, len(values), CHUNK):
        end = begin + CHUNK
        keys = []
        for step in range(1, MAX_NEIGHBOURS + 1):
            later = values[begin + step : end + step]
            same = np.flatnonzero(values[begin : begin + len(later)] == later) + begin
            if not len(same):
                break
            keys.append(_keys(positions[same], positions[same + step], starts))
        parts.append(_counted(np.concatenate(keys)) if keys else parts[0])
    keys_found = np.concatenate([keys for keys, _ in parts])
    return _counted(keys_found, np.concatenate([votes for _, votes in parts]))


def _shared_values(fingerprints: Sequence[Fingerprint]) -> tuple[Fingerprint, Integers]:
    """Sub-fingerprints that occur more than once, sorted, and their positions in all songs."""
    values = np.concatenate([np.zeros(0, dtype=np.uint32), *fingerprints])
    again = np.zeros(len(values), dtype=bool)
    again[1:] = values[1:] == values[:-1]  # a repetition adds no information
    positions = np.flatnonzero((values != UNRELIABLE) & ~again)
    values = values[positions]
    order = np.argsort(values, kind="stable")
    values, positions = values[order], positions[order]
    equal = values[1:] == values[:-1]
    shared = np.zeros(len(values), dtype=bool)
    shared[1:] = equal
    shared[:-1] |= equal
    return values[shared], positions[shared]


def _keys(one: Integers, other: Integers, starts: Integers) -> Integers:
    """The keys of votes for sub-fingerprints at positions `one` < `other`, in different songs."""
    first = np.searchsorted(starts, one, side="right") - 1
    second = np.searchsorted(starts, other, side="right") - 1
    offset = (other - starts[second]) - (one - starts[first])
    keys = ((first << SONG_BITS | second) << OFFSET_BITS) + offset + MIDDLE
    different: Integers = keys[first != second]
    return different


def _counted(keys: Integers, votes: Integers | None = None) -> tuple[Integers, Integers]:
    """The unique keys, sorted, and the sum of their votes (one each if `votes` is None)."""
    if votes is None:
        return np.unique(keys, return_counts=True)
    different, place = np.unique(keys, return_inverse=True)
    summed = np.zeros(len(different), dtype=np.int64)
    np.add.at(summed, place, votes)
    return different, summed
