"""Which songs may never be parted: copies of one recording, and an artist's songs.

A *tie* is a pair such as `("copies", "7f3a…")` or `("artist", "john lee hooker")`; songs that share
one stay together. A genre *keeps artists together* where it has at least `ENOUGH_ARTISTS` artist
groups. An artist with a song in such a genre is tied everywhere, in every genre: otherwise a
song of theirs in a genre that is split by song could tell a model about the songs that the other
genre is tested on. Copies are always tied.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

ENOUGH_ARTISTS = 3  # one for each of training, validation and test
UNKNOWN_ARTISTS = frozenset(
    {"", "-", "?", "n/a", "unknown", "<unknown>", "unknown artist", "various", "various artists"}
)
COPIES = "duplicate_group"  # the catalogue's column that names songs with the same recording

Tie = tuple[str, str]
Labels = npt.NDArray[np.int32]


def artist_key(name: Any) -> str | None:
    """The artist in the spelling that is compared: Unicode NFKC, case-folded, single spaces.

    Null where the artist is not known; "Various Artists" is nobody.
    """
    if not isinstance(name, str):
        return None
    key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    return None if key in UNKNOWN_ARTISTS else key


def links(catalogue: pd.DataFrame) -> pd.DataFrame:
    """What ties songs: `track_id, genre, artist, copies`, text or null, sorted by `track_id`.

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
    """`catalogue` with the near-duplicates `found` (`track_id, duplicate_group`) tied.

    Where the manifest brought a column `duplicate_group`, its ties hold as well.
    """
    import pandas as pd

    copies = catalogue["track_id"].map(dict(zip(found["track_id"], found[COPIES], strict=True)))
    if COPIES not in catalogue:
        return catalogue.assign(**{COPIES: copies.astype("object")})
    both = pd.DataFrame({"told": catalogue[COPIES], "found": copies})
    labels = pd.Series(components(both, ("told", "found")).astype(str), index=catalogue.index)
    return catalogue.assign(**{COPIES: labels.where(both.notna().any(axis=1), None)})


def components(songs: pd.DataFrame, columns: tuple[str, ...] = ("artist", "copies")) -> Labels:
    """Number the sets of songs that hang together by `columns`: int32 [shape=(songs,)].

    The connected components of the graph of songs and ties, as SciPy finds them. Null ties nobody.
    """
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    song, tie, offset = [], [], len(songs)
    for column in columns:
        codes, names = pd.factorize(songs[column])
        known = np.flatnonzero(codes >= 0)
        song.append(known)
        tie.append(codes[known] + offset)
        offset += len(names)
    ends = np.concatenate(song), np.concatenate(tie)
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(offset, offset))
    labels: Labels = connected_components(graph, directed=False)[1][: len(songs)]
    return labels


def artist_groups(songs: pd.DataFrame) -> pd.Series:
    """How many artist groups each genre has; artists who share a recording count as one.

    A song without a known artist counts as an artist of its own.
    """
    return songs.assign(label=components(songs)).groupby("genre")["label"].nunique()


def tied(songs: pd.DataFrame, keeping: set[str]) -> pd.DataFrame:
    """`songs` with `artist` null where the genres `keeping` do not tie that artist."""
    artists = set(songs.loc[songs["genre"].isin(keeping), "artist"].dropna())
    kept = [artist if artist in artists else None for artist in songs["artist"]]
    return songs.assign(artist=np.array(kept, dtype=object))


def ties(songs: pd.DataFrame) -> list[tuple[Tie, ...]]:
    """The ties of each song, from its columns `artist` and `copies`."""
    return [
        tuple((kind, name) for kind, name in (("artist", a), ("copies", c)) if name is not None)
        for a, c in zip(songs["artist"], songs["copies"], strict=True)
    ]
