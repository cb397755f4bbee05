"""The four protocols, behind one function: `split`."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genre.core.errors import InputError, ParameterError
from genre.core.messages import command
from genre.splits import predefined
from genre.splits.checks import Row, artist_leak, check_genres, keeping_artists
from genre.splits.groups import ENOUGH_ARTISTS, artist_groups, components, links, tied, ties
from genre.splits.placing import (
    EXCLUDED,
    Group,
    Place,
    Song,
    join,
    part_copies,
    share_out,
)

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS = ("song", "artist", "predefined", "segment")
LEAKY = frozenset({"segment"})  # pieces of one song on both sides: for comparison only
NAMED = 3  # examples in a message
SEGMENTS = 10  # of a clip, as trim cuts it


@dataclass(frozen=True)
class Split:
    """A split: its table, the genres in which artists may be on two sides, and what to know."""

    table: pd.DataFrame
    artist_leak: list[str]
    warnings: list[str]


@dataclass
class _Work:
    """What the protocols fill: a place for each song, and warnings."""

    shares: Mapping[str, float]
    seed: int
    paths: Mapping[str, str]
    places: dict[str, Place] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, words: str, tracks: Iterable[str] = ()) -> None:
        songs = sorted(self.paths[track] for track in tracks)
        more = f" and {len(songs) - NAMED} more" if len(songs) > NAMED else ""
        self.warnings.append(words + (f": {', '.join(songs[:NAMED])}{more}" if songs else ""))


def split(
    catalogue: pd.DataFrame,
    *,
    protocol: str,
    shares: Mapping[str, float],
    seed: int,
    previous: pd.DataFrame | None = None,
    column: str = "split",
    segments: int = SEGMENTS,
) -> Split:
    """Split the usable songs of `catalogue` (`track_id`, `path`, `genre`, `artist`, `status`, …).

    `shares` gives the part of each genre's songs for each of `SUBSETS`, and `seed` the draw.
    `previous` is an older table of this function: its rows stay where protocol, shares and seed
    were the same, and it is not used otherwise. `column` is the manifest's column that `predefined`
    reads, `segments` how many segments `segment` deals with in each song. The order of rows changes
    nothing. Raises `ParameterError` for an unknown protocol, `InputError` where a genre cannot be
    split or the column is wrong.
    """
    if protocol not in PROTOCOLS:
        near = difflib.get_close_matches(protocol, PROTOCOLS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ParameterError(
            f"split.protocol is {protocol!r}: expected one of {', '.join(PROTOCOLS)}{hint}"
        )
    settings = {"protocol": protocol, "shares": dict(shares), "seed": seed}
    if previous is None or previous.attrs.get("settings") != settings:
        previous = None
    usable = catalogue[catalogue["status"] == "ok"]
    if usable.empty:
        raise InputError(
            f"the catalogue has no usable songs to split; add some ({command('genre add SOURCE')})"
        )
    songs = links(usable)
    keeping = keeping_artists(songs, previous, shares)
    by_song = sorted(set(songs["genre"]) - keeping)
    work = _Work(shares, seed, dict(zip(usable["track_id"], usable["path"], strict=True)))
    if protocol == "segment":
        rows = _by_segment(songs, work, previous, segments)
    elif protocol == "predefined":
        work.places, parted = predefined.places(catalogue, tied(songs, keeping), column)
        if parted:
            work.warn("excluded, as a copy lies on another side", parted)
        rows = _song_rows(work.places)
    else:
        if by_song:
            _mind_artists(songs, by_song, work, strict=protocol == "artist")
        rows = _by_group(tied(songs, keeping), work, previous)
    leak = artist_leak(songs, rows)
    if protocol == "artist" and leak:
        raise InputError(
            f"split.protocol is artist, and the older split has artists of {', '.join(leak)} on "
            "two sides: change split.reseed to draw it afresh"
        )
    if protocol == "song":
        leak = sorted({*leak, *by_song})
    work.warnings += check_genres(songs, rows, shares, predefined=protocol == "predefined")
    if unknown := int(songs["artist"].isna().sum()):
        work.warn(f"{unknown} of {len(songs)} songs have no artist: each counts as one of its own")
    return Split(_table(rows, settings, leak), leak, work.warnings)


def _mind_artists(songs: pd.DataFrame, by_song: list[str], work: _Work, *, strict: bool) -> None:
    """Refuse or name the genres that have too few artists to keep them apart."""
    groups = artist_groups(songs)
    found = ", ".join(f"{genre} ({groups[genre]})" for genre in by_song)
    if strict:
        raise InputError(
            f"split.protocol is artist, and genres have fewer than {ENOUGH_ARTISTS} artists: "
            f"{found}; add songs by others, take these genres out, or use protocol song"
        )
    work.warn(
        f"split by song, artists on several sides, as there are fewer than {ENOUGH_ARTISTS} "
        f"artists: {found}"
    )


def _by_group(songs: pd.DataFrame, work: _Work, previous: pd.DataFrame | None) -> list[Row]:
    """Keep together what `artist` and `copies` of `songs` tie."""
    every = [
        Song(track, genre, bonds)
        for track, genre, bonds in zip(songs["track_id"], songs["genre"], ties(songs), strict=True)
    ]
    if previous is not None:
        here = set(songs["track_id"])
        for row in previous.itertuples():
            if row.track_id in here:
                work.places[str(row.track_id)] = Place(str(row.group), str(row.subset))
        if parted := part_copies(every, work.places):
            work.warn("excluded, as a copy lies on another side", parted)
        if excluded := join(every, work.places):
            work.warn("excluded, as songs on two sides belong with it", excluded)
    new = [number for number, song in enumerate(every) if song.track_id not in work.places]
    together: dict[int, list[Song]] = defaultdict(list)
    for number, label in zip(new, components(songs.iloc[new]), strict=True):
        together[int(label)].append(every[number])
    _share_out(together.values(), every, work)
    return _song_rows(work.places)


def _by_segment(
    songs: pd.DataFrame, work: _Work, previous: pd.DataFrame | None, segments: int
) -> list[Row]:
    every = [
        Song(f"{track}.{segment}", genre)
        for track, genre in zip(songs["track_id"], songs["genre"], strict=True)
        for segment in range(segments)
    ]
    if previous is not None:
        here = {song.track_id for song in every}
        for row in previous.itertuples():
            if f"{row.track_id}.{row.segment}" in here:
                place = Place(str(row.group), str(row.subset))
                work.places[f"{row.track_id}.{row.segment}"] = place
    new = [[song] for song in every if song.track_id not in work.places]
    _share_out(new, every, work)
    rows: list[Row] = []
    for name, place in work.places.items():
        track, _, segment = name.rpartition(".")
        rows.append((track, int(segment), track, place.subset))
    return rows


def _share_out(together: Iterable[list[Song]], every: list[Song], work: _Work) -> None:
    """Give groups of new songs a name and a subset."""
    placed: dict[str, Counter[str]] = defaultdict(Counter)
    for song in every:
        place = work.places.get(song.track_id)
        if place and place.subset != EXCLUDED:
            placed[song.genre][place.subset] += 1
    taken = {place.group for place in work.places.values()}
    members: dict[str, list[Song]] = {}
    for group in together:
        name = min(song.track_id for song in group)
        while name in taken:  # the song that named an older group has left it and come back
            name += "+"
        members[name] = group
    groups = [Group(name, Counter(s.genre for s in group)) for name, group in members.items()]
    for name, subset in share_out(groups, placed, work.shares, work.seed).items():
        for song in members[name]:
            work.places[song.track_id] = Place(name, subset)


def _song_rows(places: Mapping[str, Place]) -> list[Row]:
    return [(track, None, place.group, place.subset) for track, place in places.items()]


def _table(rows: list[Row], settings: dict[str, Any], leak: list[str]) -> pd.DataFrame:
    import pandas as pd

    rows = sorted(rows, key=lambda row: (row[0], -1 if row[1] is None else row[1]))
    table = pd.DataFrame(rows, columns=["track_id", "segment", "group", "subset"])
    table = table.astype({"track_id": "str", "segment": "Int64", "group": "str", "subset": "str"})
    table.attrs = {"settings": settings, "artist_leak": leak}
    return table
