"""Split a catalogue by one of the four protocols."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genre.core.errors import InputError, ParameterError
from genre.core.messages import command
from genre.splits import predefined
from genre.splits.allocation import (
    EXCLUDED,
    Group,
    Placement,
    Song,
    allocate,
    exclude_leaking_copies,
    place_linked_songs,
)
from genre.splits.checks import Row, artist_leak, check_genres, genres_split_by_artist
from genre.splits.groups import (
    MIN_ARTISTS,
    artist_groups,
    components,
    group_keys,
    grouping_table,
    without_ungrouped_artists,
)

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS = ("song", "artist", "predefined", "segment")
LEAKY = frozenset({"segment"})  # segments of a song in several subsets: for comparison only
EXAMPLES = 3  # songs named in a message
SEGMENTS = 10  # of a clip, as trim cuts it


@dataclass(frozen=True)
class Split:
    """A split: table, genres in which artists may be in several subsets, and warnings."""

    table: pd.DataFrame
    artist_leak: list[str]
    warnings: list[str]


@dataclass
class _Builder:
    """Collects the placement of each song, and warnings."""

    shares: Mapping[str, float]
    seed: int
    paths: Mapping[str, str]
    placements: dict[str, Placement] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str, tracks: Iterable[str] = ()) -> None:
        songs = sorted(self.paths[track] for track in tracks)
        more = f" and {len(songs) - EXAMPLES} more" if len(songs) > EXAMPLES else ""
        self.warnings.append(text + (f": {', '.join(songs[:EXAMPLES])}{more}" if songs else ""))


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

    `shares` is the share of each genre's songs for each of `SUBSETS`. `previous` is an older result
    of this function; its rows are kept if protocol, shares and seed are the same. `column` is the
    column of the manifest that `predefined` reads, `segments` the number of segments of a song for
    `segment`. The result does not depend on the order of rows. Raises `ParameterError` for an
    unknown protocol, and `InputError` if a genre cannot be split or the column is wrong.
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
    songs = grouping_table(usable)
    by_artist = genres_split_by_artist(songs, previous, shares)
    by_song = sorted(set(songs["genre"]) - by_artist)
    builder = _Builder(shares, seed, dict(zip(usable["track_id"], usable["path"], strict=True)))
    if protocol == "segment":
        rows = _by_segment(songs, builder, previous, segments)
    elif protocol == "predefined":
        builder.placements, parted = predefined.placements(
            catalogue, without_ungrouped_artists(songs, by_artist), column
        )
        if parted:
            builder.warn("excluded, because a copy is in another subset", parted)
        rows = _song_rows(builder.placements)
    else:
        if by_song:
            _check_artists(songs, by_song, builder, strict=protocol == "artist")
        rows = _by_group(without_ungrouped_artists(songs, by_artist), builder, previous)
    leak = artist_leak(songs, rows)
    if protocol == "artist" and leak:
        raise InputError(
            f"split.protocol is artist, and the older split has artists of {', '.join(leak)} on "
            "several subsets: change split.reseed to draw a new split"
        )
    if protocol == "song":
        leak = sorted({*leak, *by_song})
    builder.warnings += check_genres(songs, rows, shares, predefined=protocol == "predefined")
    if unknown := int(songs["artist"].isna().sum()):
        builder.warn(f"{unknown} of {len(songs)} songs have no artist: each counts as an artist")
    return Split(_table(rows, settings, leak), leak, builder.warnings)


def _check_artists(
    songs: pd.DataFrame, by_song: list[str], builder: _Builder, *, strict: bool
) -> None:
    """Refuse genres with too few artists, or warn unless `strict`."""
    groups = artist_groups(songs)
    found = ", ".join(f"{genre} ({groups[genre]})" for genre in by_song)
    if strict:
        raise InputError(
            f"split.protocol is artist, and genres have fewer than {MIN_ARTISTS} artists: "
            f"{found}; add songs by others, take these genres out, or use protocol song"
        )
    builder.warn(
        "split by song, with artists in several subsets, because there are fewer than "
        f"{MIN_ARTISTS} artists: {found}"
    )


def _by_group(songs: pd.DataFrame, builder: _Builder, previous: pd.DataFrame | None) -> list[Row]:
    """Split so that songs with equal `artist` or `copies` stay together."""
    every = [
        Song(track, genre, keys)
        for track, genre, keys in zip(
            songs["track_id"], songs["genre"], group_keys(songs), strict=True
        )
    ]
    if previous is not None:
        here = set(songs["track_id"])
        for row in previous.itertuples():
            if row.track_id in here:
                builder.placements[str(row.track_id)] = Placement(str(row.group), str(row.subset))
        if parted := exclude_leaking_copies(every, builder.placements):
            builder.warn("excluded, because a copy is in another subset", parted)
        if excluded := place_linked_songs(every, builder.placements):
            builder.warn("excluded, because of its artist or copies in several subsets", excluded)
    new = [number for number, song in enumerate(every) if song.track_id not in builder.placements]
    together: dict[int, list[Song]] = defaultdict(list)
    for number, label in zip(new, components(songs.iloc[new]), strict=True):
        together[int(label)].append(every[number])
    _allocate(together.values(), every, builder)
    return _song_rows(builder.placements)


def _by_segment(
    songs: pd.DataFrame, builder: _Builder, previous: pd.DataFrame | None, segments: int
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
                place = Placement(str(row.group), str(row.subset))
                builder.placements[f"{row.track_id}.{row.segment}"] = place
    new = [[song] for song in every if song.track_id not in builder.placements]
    _allocate(new, every, builder)
    rows: list[Row] = []
    for name, place in builder.placements.items():
        track, _, segment = name.rpartition(".")
        rows.append((track, int(segment), track, place.subset))
    return rows


def _allocate(together: Iterable[list[Song]], every: list[Song], builder: _Builder) -> None:
    """Name groups of new songs and allocate them to subsets."""
    placed: dict[str, Counter[str]] = defaultdict(Counter)
    for song in every:
        place = builder.placements.get(song.track_id)
        if place and place.subset != EXCLUDED:
            placed[song.genre][place.subset] += 1
    taken = {place.group for place in builder.placements.values()}
    members: dict[str, list[Song]] = {}
    for group in together:
        name = min(song.track_id for song in group)
        while name in taken:  # an older group may be named after a song that left it
            name += "+"
        members[name] = group
    groups = [Group(name, Counter(s.genre for s in group)) for name, group in members.items()]
    for name, subset in allocate(groups, placed, builder.shares, builder.seed).items():
        for song in members[name]:
            builder.placements[song.track_id] = Placement(name, subset)


def _song_rows(placements: Mapping[str, Placement]) -> list[Row]:
    return [(track, None, place.group, place.subset) for track, place in placements.items()]


def _table(rows: list[Row], settings: dict[str, Any], leak: list[str]) -> pd.DataFrame:
    import pandas as pd

    rows = sorted(rows, key=lambda row: (row[0], -1 if row[1] is None else row[1]))
    table = pd.DataFrame(rows, columns=["track_id", "segment", "group", "subset"])
    table = table.astype({"track_id": "str", "segment": "Int64", "group": "str", "subset": "str"})
    table.attrs = {"settings": settings, "artist_leak": leak}
    return table
