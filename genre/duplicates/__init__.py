"""Near-duplicates: songs that are the same recording, found by acoustic fingerprints.

A *fingerprint* is a sequence of 32-bit sub-fingerprints, uint32 [shape=(frames,)],
`SUBFINGERPRINTS_PER_SECOND` of them, after Haitsma and Kalker, "A Highly Robust Audio
Fingerprinting System" (ISMIR 2002). Two copies of a recording agree in most bits whatever their
level, bit rate or sample rate; different recordings agree in half of them. Songs with equal
sub-fingerprints are found through an index, aligned, and compared bit by bit.

Found are copies of a recording, whole or in part. A cover version, a remix or a copy that is more
than about one per cent faster is a different recording.
"""

from genre.duplicates.alignment import Match, align
from genre.duplicates.fingerprint import (
    SUBFINGERPRINTS_PER_SECOND,
    Fingerprint,
    fingerprint_song,
    from_bytes,
    subfingerprints,
)
from genre.duplicates.groups import COLUMNS, group
from genre.duplicates.matching import candidates, matches

__all__ = [
    "COLUMNS",
    "SUBFINGERPRINTS_PER_SECOND",
    "Fingerprint",
    "Match",
    "align",
    "candidates",
    "fingerprint_song",
    "from_bytes",
    "group",
    "matches",
    "subfingerprints",
]
