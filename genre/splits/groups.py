"""Group songs that must stay in one subset: copies of a recording, and songs of an artist.

A *group key* is a pair such as `("copies", "7f3a…")` or `("artist", "john lee hooker")`; songs that
share one stay together. A genre keeps artists together if it has at least `MIN_ARTISTS` artist
groups. An artist with a song in such a genre is grouped in all genres: otherwise a training song of
theirs in another genre would leak into this genre's test. Copies are always grouped.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

MIN_ARTISTS = 3  # one for each of training, validation and test
UNKNOWN_ARTISTS = frozenset(
    {"", "-", "?", "n/a", "unknown", "<unknown>", "unknown artist", "various", "various artists"}
)
COPIES = "duplicate_group"  # column of the catalogue

GroupKey = tuple[str, str]
Labels = npt.NDArray[np.int32]


def artist_key(name: Any) -> str | None:
    """Normalise an artist's name for comparison: Unicode NFKC, case-folded, single spaces.

    Returns None for unknown artists, such as "Various Artists".
    """
    if not isinstance(name, str):
        return None
    key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    return None if key in UNKNOWN_ARTISTS else key


def grouping_table(catalogue: pd.DataFrame) -> pd.DataFrame:
    """Return `track_id, genre, artist, copies` (text or None) of each song, sorted by `track_id`.

    `catalogue` has a row a song; its columns `artist` and `duplicate_group` may be missing.
    """
    import pandas as pd

    nobody = [None] * len(catalogue)
    columns = {
        "track_id": [str(track) for track in catalogue["track_id"]],
        "genre": [str(genre) for genre in catalogue["genre"]],
        "artist": [artist_key(name) for name in catalogue.get("artist", nobody)],
        "copies": [None if pd.isna(x) else str(x) for x in catalogue.get(COPIES, nobody)],
    }
    table = pd.DataFrame({name: pd.Series(v, dtype="object") for name, v in columns.items()})
    return table.sort_values("track_id", ignore_index=True)


def with_copies(catalogue: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Add the near-duplicates `found` (`track_id, duplicate_group`) to the catalogue.

    If the manifest has a column `duplicate_group`, its groups are merged with them.
    """
    import pandas as pd

    copies = catalogue["track_id"].map(dict(zip(found["track_id"], found[COPIES], strict=True)))
    if COPIES not in catalogue:
        return catalogue.assign(**{COPIES: copies.astype("object")})
    both = pd.DataFrame({"manifest": catalogue[COPIES], "found": copies})
    labels = pd.Series(components(both, ("manifest", "found")).astype(str), index=catalogue.index)
    return catalogue.assign(**{COPIES: labels.where(both.notna().any(axis=1), None)})


def components(songs: pd.DataFrame, columns: tuple[str, ...] = ("artist", "copies")) -> Labels:
    """Number the connected components of songs with equal values in `columns`.

    Returns int32 [shape=(songs,)]. Null values connect no songs.
    """
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    song, value, offset = [], [], len(songs)
    for column in columns:
        codes, names = pd.factorize(songs[column])
        known = np.flatnonzero(codes >= 0)
        song.append(known)
        value.append(codes[known] + offset)
        offset += len(names)
    ends = np.concatenate(song), np.concatenate(value)
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(offset, offset))
    labels: Labels = connected_components(graph, directed=False)[1][: len(songs)]
    return labels


def artist_groups(songs: pd.DataFrame) -> pd.Series:
    """Count the artist groups of each genre; artists who share a recording count as one.

    A song without an artist counts as an artist.
    """
    return songs.assign(label=components(songs)).groupby("genre")["label"].nunique()


def without_ungrouped_artists(songs: pd.DataFrame, by_artist: set[str]) -> pd.DataFrame:
    """Set `artist` to None for artists without a song in the genres `by_artist`."""
    artists = set(songs.loc[songs["genre"].isin(by_artist), "artist"].dropna())
    kept = [artist if artist in artists else None for artist in songs["artist"]]
    return songs.assign(artist=np.array(kept, dtype=object))


def group_keys(songs: pd.DataFrame) -> list[tuple[GroupKey, ...]]:
    """Return the group keys of each song, from its columns `artist` and `copies`."""
    return [
        tuple((kind, name) for kind, name in (("artist", a), ("copies", c)) if name is not None)
        for a, c in zip(songs["artist"], songs["copies"], strict=True)
    ]
