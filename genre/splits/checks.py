"""Check a split: which genres keep artists together, artist leaks, genres without songs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from genre.core.errors import InputError
from genre.core.messages import command
from genre.splits.allocation import EXCLUDED, SUBSETS, TEST
from genre.splits.groups import MIN_ARTISTS, artist_groups

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[str, int | None, str, str]  # track_id, segment, group, subset


def genres_split_by_artist(
    songs: pd.DataFrame, previous: pd.DataFrame | None, shares: Mapping[str, float]
) -> set[str]:
    """Return the genres in which an artist's songs stay together.

    These are genres with at least `MIN_ARTISTS` artist groups, and genres that kept artists
    together in the `previous` split and whose old songs still reach all subsets, so that a new
    song that links two artists does not change them.
    """
    groups = artist_groups(songs)
    by_artist = {str(genre) for genre in groups[groups >= MIN_ARTISTS].index}
    if previous is None:
        return by_artist
    needed = {subset for subset in SUBSETS if shares[subset] > 0}
    old = songs.merge(previous[["track_id", "subset"]], on="track_id")
    for genre, subsets in old.groupby("genre")["subset"]:
        if genre not in previous.attrs["artist_leak"] and needed <= set(subsets):
            by_artist.add(str(genre))
    return by_artist


def artist_leak(songs: pd.DataFrame, rows: list[Row]) -> list[str]:
    """Return the genres with songs of an artist who is in several subsets, sorted.

    A song without an artist counts as an artist, whose segments may be in several subsets.
    """
    artist = songs["artist"].where(songs["artist"].notna(), songs["track_id"])
    who = dict(zip(songs["track_id"], artist, strict=True))
    subsets: dict[str, set[str]] = defaultdict(set)
    used = set()
    for track, _, _, subset in rows:
        if subset != EXCLUDED:
            subsets[who[track]].add(subset)
            used.add(track)
    leaking = artist.map(lambda name: len(subsets[name]) > 1) & songs["track_id"].isin(used)
    return sorted(str(genre) for genre in songs.loc[leaking, "genre"].unique())


def check_genres(
    songs: pd.DataFrame, rows: list[Row], shares: Mapping[str, float], *, predefined: bool
) -> list[str]:
    """Raise `InputError` if a genre has no training or no validation songs.

    Returns warnings about genres without test songs. Genres that are wholly excluded are ignored.
    """
    genre = dict(zip(songs["track_id"], songs["genre"], strict=True))
    reached: dict[str, set[str]] = defaultdict(set)
    for track, _, _, subset in rows:
        if subset != EXCLUDED:
            reached[genre[track]].add(subset)
    for subset in SUBSETS:
        lacking = ", ".join(sorted(name for name in reached if subset not in reached[name]))
        if not lacking or not (shares[subset] or predefined):
            continue
        if subset == TEST:
            return [f"no test songs for {lacking}"]
        raise InputError(f"no {subset} songs for {lacking}: {_remedy(predefined)}")
    return []


def _remedy(predefined: bool) -> str:
    if predefined:
        return (
            "every genre needs train and valid songs in the manifest's column, or none at all; "
            f"fix the column or take these genres out ({command('genre remove GENRE')})"
        )
    return (
        "too few songs are left, or they are of one artist or copies; add songs by other "
        f"artists ({command('genre add SOURCE')}), or change split.reseed to draw a new split"
    )
