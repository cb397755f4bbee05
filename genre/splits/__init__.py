"""Split songs into training, validation and test without leaks between them.

No song, copy of a song or artist is in two subsets (but see the protocols). A split is a table with
a row per song: `track_id` (text), `segment` (Int64, null unless the protocol is `segment`), `group`
(text: songs that stay together) and `subset` (`train`, `validation`, `test` or `excluded`), sorted
by `track_id` and `segment`. Its `attrs`, which Parquet keeps, hold `settings` (protocol, shares,
seed) and `artist_leak` (genres in which an artist may be in two subsets).

Protocols
---------
song        copies stay together; artists too, in each genre with at least three artists
artist      the same, but a genre with fewer artists is refused
predefined  as a column of the manifest says; copies across subsets are excluded
segment     each 3 s segment separately, as in much published work: leaks, for comparison only

As the collection grows, songs keep their subset until the settings change.
"""

from genre.splits.allocation import EXCLUDED, SUBSETS, TEST, TRAIN, VALIDATION
from genre.splits.groups import with_copies
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
