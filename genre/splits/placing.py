"""Where songs go: beside what they are tied to, else where their genre is furthest below its share.

Nothing here depends on the order of its input; ties between equal choices are broken by
the seed alone.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genre.splits.groups import Tie

TRAIN, VALIDATION, TEST, EXCLUDED = "train", "validation", "test", "excluded"
SUBSETS = (TRAIN, VALIDATION, TEST)


class Place(NamedTuple):
    """The group of a song and the subset that it is in."""

    group: str
    subset: str


@dataclass(frozen=True)
class Song:
    """A song, its genre, and what ties it to others."""

    track_id: str
    genre: str
    ties: tuple[Tie, ...] = ()


@dataclass(frozen=True)
class Group:
    """Songs that stay together, counted by genre."""

    name: str
    counts: Mapping[str, int]


def part_copies(songs: Iterable[Song], places: dict[str, Place]) -> list[str]:
    """Exclude, in place, songs whose copies lie in another subset; return them, sorted.

    Two songs of an older split may be found to be one recording only later. The side with more of
    the copies keeps them, or the first of `SUBSETS`.
    """
    copies: dict[Tie, list[str]] = defaultdict(list)
    for song in songs:
        if song.track_id in places and places[song.track_id].subset != EXCLUDED:
            for tie in song.ties:
                if tie[0] == "copies":
                    copies[tie].append(song.track_id)
    parted = []
    for tracks in copies.values():
        sides = Counter(places[track].subset for track in tracks)
        keep = max(sides, key=lambda side: (sides[side], -SUBSETS.index(side)))
        parted += [track for track in tracks if places[track].subset != keep]
    for track in parted:
        places[track] = Place(places[track].group, EXCLUDED)
    return sorted(parted)


def join(songs: Iterable[Song], places: dict[str, Place]) -> list[str]:
    """Place, in place, the new songs that are tied to placed ones; return the excluded, sorted.

    A song goes to the side of the songs that it is tied to, and takes those that are tied to it
    along. One that is tied to two sides is excluded, and ties nobody. Where new songs tie two sides
    only together, they are taken in the order of `track_id`.
    """
    ordered = {song.track_id: song for song in sorted(songs, key=lambda song: song.track_id)}
    members: dict[Tie, list[str]] = defaultdict(list)
    sides: dict[Tie, dict[str, str]] = defaultdict(dict)  # tie → subset → group
    for song in ordered.values():
        place = places.get(song.track_id)
        for tie in song.ties:
            if place is None:
                members[tie].append(song.track_id)
            elif place.subset != EXCLUDED:
                group = sides[tie].get(place.subset, place.group)
                sides[tie][place.subset] = min(group, place.group)
    queue = sorted({track for tie in sides for track in members[tie]})
    excluded = []
    while queue:
        song = ordered[heapq.heappop(queue)]
        if song.track_id in places:
            continue
        found = {subset: sides[tie][subset] for tie in song.ties for subset in sides[tie]}
        if len(found) > 1:
            places[song.track_id] = Place(song.track_id, EXCLUDED)
            excluded.append(song.track_id)
            continue
        ((subset, group),) = found.items()
        places[song.track_id] = Place(group, subset)
        for tie in song.ties:
            if subset not in sides[tie]:
                sides[tie][subset] = group
                for track in members[tie]:
                    heapq.heappush(queue, track)
    return sorted(excluded)


def share_out(
    groups: Sequence[Group],
    placed: Mapping[str, Mapping[str, int]],
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """The subset of each group, by name.

    `placed` counts the songs of each genre that have a subset already (genre → subset → songs) and
    `shares` says how much of each genre a subset should have. Groups are taken one by one, roughly
    the largest first, in an order drawn with `seed`; each goes to the subset where its genres are
    furthest below their share, in songs. The last groups of a genre are kept for subsets in which
    it has none yet, so that a genre with at least as many groups of its own as there are subsets
    reaches them all.
    """
    active = [subset for subset in SUBSETS if shares[subset] > 0]
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for genre, found in placed.items():
        count[genre].update(found)
    total: Counter[str] = Counter()
    for genre in count:
        total.update({genre: sum(count[genre].values())})
    own: Counter[str] = Counter()  # groups still to come that lie in this genre alone
    left: Counter[str] = Counter()  # groups still to come with a song of this genre
    for group in groups:
        total.update(group.counts)
        left.update(group.counts.keys())
        if len(group.counts) == 1:
            own.update(group.counts.keys())

    lack = {subset: shares[subset] * total.total() for subset in active}  # of all genres together
    for found in count.values():
        for subset in active:
            lack[subset] -= found[subset]
    chosen: dict[str, str] = {}
    for group in _in_order(groups, seed):
        still = own if len(group.counts) == 1 else left
        choices = active
        for genre in sorted(group.counts):
            empty = [subset for subset in active if not count[genre][subset]]
            if empty and still[genre] <= len(empty):
                reserved = empty if left[genre] > len(empty) else empty[: left[genre]]
                choices = [s for s in choices if s in reserved] or choices

        def need(subset: str, group: Group = group) -> tuple[float, float, int]:
            below = sum(
                songs * (shares[subset] * total[genre] - count[genre][subset])
                for genre, songs in group.counts.items()
            )
            return round(below, 6), round(lack[subset], 6), -SUBSETS.index(subset)

        chosen[group.name] = subset = max(choices, key=need)
        for genre, songs in group.counts.items():
            count[genre][subset] += songs
            lack[subset] -= songs
            left[genre] -= 1
            own[genre] -= len(group.counts) == 1
    return chosen


def _in_order(groups: Sequence[Group], seed: int) -> list[Group]:
    """Large groups first, while small ones can still make up for them, but not in a fixed order."""
    by_name = sorted(groups, key=lambda group: group.name)
    random = np.random.default_rng(seed)
    sizes = np.array([sum(group.counts.values()) for group in by_name])
    weights = sizes * random.uniform(0.5, 1.0, size=len(by_name))
    return [by_name[number] for number in np.argsort(-weights, kind="stable")]
