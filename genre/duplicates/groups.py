"""Group matching songs into the table of near-duplicates.

Groups are connected components: an excerpt may match two songs that share nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from genre.duplicates.alignment import Match

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "track_id": "str",
    "duplicate_group": "str",
    "other": "str",
    "similarity": "float64",
    "offset_s": "float64",
}
DECIMALS = {"similarity": 4, "offset_s": 2}


def group(track_ids: Sequence[str], matches: Sequence[Match]) -> pd.DataFrame:
    """Return a row for each song that has a copy, with columns `COLUMNS`, sorted by `track_id`.

    `duplicate_group` is the smallest `track_id` of the group; `other` is the song with the highest
    `similarity` (the share of equal bits where the two match), of several the one with the longest
    match. The position t seconds in the song is t + `offset_s` in the other.
    """
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(track_ids)
    ends = [match.first for match in matches], [match.second for match in matches]
    graph = coo_array(([1] * len(matches), ends), shape=(size, size))
    labels = connected_components(graph, directed=False)[1] if size else []
    names: dict[int, str] = {}
    for label, track_id in zip(labels, track_ids, strict=True):
        names[label] = min(names.get(label, track_id), track_id)

    nearest: dict[int, tuple[float, int, int, float]] = {}
    for match in matches:
        for song, other, offset in (
            (match.first, match.second, match.offset_seconds),
            (match.second, match.first, -match.offset_seconds),
        ):
            offer = (match.similarity, match.length, -other, offset)
            nearest[song] = max(nearest.get(song, offer), offer)
    rows = [
        (track_ids[song], names[labels[song]], track_ids[-other], similarity, offset)
        for song, (similarity, _, other, offset) in nearest.items()
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS).round(DECIMALS)
    return table.sort_values("track_id", ignore_index=True)
