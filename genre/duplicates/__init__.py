"""Near-duplicates: which songs of a collection are the same recording, by how they sound.

A song becomes a row of *words*, uint32 [shape=(words,)], `WORDS_PER_SECOND` of them: the 32-bit
sub-fingerprints of Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002).
Two recordings of the same performance agree in most bits whatever their level, bit rate or sample
rate; different recordings agree in half of them. Songs that share whole words are found through
an index, laid on each other where these lie, and compared bit by bit.

What is found is the same recording, whole or in part, not the same composition: a cover version, a
remix or a recording that runs more than about one per cent faster is another one.
"""

from genre.duplicates.alignment import Match, align
from genre.duplicates.fingerprint import (
    WORDS_PER_SECOND,
    Words,
    fingerprint_song,
    from_bytes,
    subfingerprints,
)
from genre.duplicates.groups import COLUMNS, group
from genre.duplicates.matching import candidates, matches

__all__ = [
    "COLUMNS",
    "WORDS_PER_SECOND",
    "Match",
    "Words",
    "align",
    "candidates",
    "fingerprint_song",
    "from_bytes",
    "group",
    "matches",
    "subfingerprints",
]
