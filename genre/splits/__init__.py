"""Honest splits: training, validation and test share no song, no copy of one and no artist.

A split is a table with a row a song: `track_id` (text), `segment` (Int64, null unless the protocol
is `segment`), `group` (text: songs that stay together) and `subset` (`train`, `validation`, `test`
or `excluded`), sorted by `track_id` and `segment`. What it was made with travels in its `attrs`,
which Parquet keeps: `settings` (protocol, shares, seed) and `artist_leak` (the genres in which an
artist may be in two subsets).

Protocols
---------
song        copies stay together; artists too, in every genre with at least three of them
artist      the same, strictly: a genre with fewer artists is refused
predefined  as a column of the manifest says; copies on two sides of it are excluded
segment     every 3 s segment by itself, as in much published work: leaky, for comparison only

A split grows with the collection: songs keep their subset as long as the settings stay the same.
"""

from genre.splits.groups import with_copies
from genre.splits.placing import EXCLUDED, SUBSETS, TEST, TRAIN, VALIDATION
from genre.splits.protocols import LEAKY, PROTOCOLS, SEGMENTS, Split, split

__all__ = [
    "EXCLUDED",
    "LEAKY",
    "PROTOCOLS",
    "SEGMENTS",
    "SUBSETS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Split",
    "split",
    "with_copies",
]
