"""What a split owes: artists apart where there are enough, every genre in training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from genre.core.errors import InputError
from genre.core.messages import command
from genre.splits.groups import ENOUGH_ARTISTS, artist_groups
from genre.splits.placing import EXCLUDED, SUBSETS, TEST

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[str, int | None, str, str]  # track_id, segment, group, subset


def keeping_artists(
    songs: pd.DataFrame, previous: pd.DataFrame | None, shares: Mapping[str, float]
) -> set[str]:
    """The genres that keep artists together.

    Those with enough artist groups; and those that did so in the `previous` split, while their
    songs of then still reach every subset: a new song that links two artists undoes nothing.
    """
    groups = artist_groups(songs)
    keeping = {str(genre) for genre in groups[groups >= ENOUGH_ARTISTS].index}
    if previous is None:
        return keeping
    needed = {subset for subset in SUBSETS if shares[subset] > 0}
    old = songs.merge(previous[["track_id", "subset"]], on="track_id")
    for genre, subsets in old.groupby("genre")["subset"]:
        if genre not in previous.attrs["artist_leak"] and needed <= set(subsets):
            keeping.add(str(genre))
    return keeping


def artist_leak(songs: pd.DataFrame, rows: list[Row]) -> list[str]:
    """The genres with songs of an artist who is on two sides, sorted.

    A song without a known artist is its own artist, and may be on two sides segment by segment.
    """
    artist = songs["artist"].where(songs["artist"].notna(), songs["track_id"])
    who = dict(zip(songs["track_id"], artist, strict=True))
    sides: dict[str, set[str]] = defaultdict(set)
    used = set()
    for track, _, _, subset in rows:
        if subset != EXCLUDED:
            sides[who[track]].add(subset)
            used.add(track)
    torn = artist.map(lambda name: len(sides[name]) > 1) & songs["track_id"].isin(used)
    return sorted(str(genre) for genre in songs.loc[torn, "genre"].unique())


def check_genres(
    songs: pd.DataFrame, rows: list[Row], shares: Mapping[str, float], *, predefined: bool
) -> list[str]:
    """Raise `InputError` for a genre without training or validation songs.

    Returns warnings about genres without test songs. A genre that is excluded as a whole is fine.
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
        "too few songs are left, or they belong together (one artist, copies); add songs by other "
        f"artists ({command('genre add SOURCE')}), or change split.reseed to draw the split afresh"
    )
