"""Allocate songs to subsets: with the songs of their group, else by the shares of their genre.

Results do not depend on the order of the input, only on the seed.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genre.splits.groups import GroupKey

TRAIN, VALIDATION, TEST, EXCLUDED = "train", "validation", "test", "excluded"
SUBSETS = (TRAIN, VALIDATION, TEST)


class Placement(NamedTuple):
    """The group and the subset of a song."""

    group: str
    subset: str


@dataclass(frozen=True)
class Song:
    """A song, its genre, and its group keys."""

    track_id: str
    genre: str
    group_keys: tuple[GroupKey, ...] = ()


@dataclass(frozen=True)
class Group:
    """Songs that stay together, as counts by genre."""

    name: str
    counts: Mapping[str, int]


def exclude_leaking_copies(songs: Iterable[Song], placements: dict[str, Placement]) -> list[str]:
    """Exclude, in place, songs with a copy in another subset; return them, sorted.

    Songs of an older split may later turn out to be copies. They stay in the subset with most of
    the copies, or in the first such one of `SUBSETS`.
    """
    copies: dict[GroupKey, list[str]] = defaultdict(list)
    for song in songs:
        if song.track_id in placements and placements[song.track_id].subset != EXCLUDED:
            for key in song.group_keys:
                if key[0] == "copies":
                    copies[key].append(song.track_id)
    parted = []
    for tracks in copies.values():
        subsets = Counter(placements[track].subset for track in tracks)
        keep = max(subsets, key=lambda subset: (subsets[subset], -SUBSETS.index(subset)))
        parted += [track for track in tracks if placements[track].subset != keep]
    for track in parted:
        placements[track] = Placement(placements[track].group, EXCLUDED)
    return sorted(parted)


def place_linked_songs(songs: Iterable[Song], placements: dict[str, Placement]) -> list[str]:
    """Place, in place, new songs that share a group key with placed ones; return excluded songs.

    A song goes to the subset of the songs that it shares a key with, and so do songs that share a
    key with it. A song that shares keys with songs of two subsets is excluded, and its keys are
    ignored. Songs are taken in the order of `track_id`.
    """
    ordered = {song.track_id: song for song in sorted(songs, key=lambda song: song.track_id)}
    members: dict[GroupKey, list[str]] = defaultdict(list)
    subsets: dict[GroupKey, dict[str, str]] = defaultdict(dict)  # key → subset → group
    for song in ordered.values():
        place = placements.get(song.track_id)
        for key in song.group_keys:
            if place is None:
                members[key].append(song.track_id)
            elif place.subset != EXCLUDED:
                group = subsets[key].get(place.subset, place.group)
                subsets[key][place.subset] = min(group, place.group)
    queue = sorted({track for key in subsets for track in members[key]})
    excluded = []
    while queue:
        song = ordered[heapq.heappop(queue)]
        if song.track_id in placements:
            continue
        found = {subset: subsets[key][subset] for key in song.group_keys for subset in subsets[key]}
        if len(found) > 1:
            placements[song.track_id] = Placement(song.track_id, EXCLUDED)
            excluded.append(song.track_id)
            continue
        ((subset, group),) = found.items()
        placements[song.track_id] = Placement(group, subset)
        for key in song.group_keys:
            if subset not in subsets[key]:
                subsets[key][subset] = group
                for track in members[key]:
                    heapq.heappush(queue, track)
    return sorted(excluded)


def allocate(
    groups: Sequence[Group],
    placed: Mapping[str, Mapping[str, int]],
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Return the subset of each group, by name.

    `placed` counts the songs that already have a subset (genre → subset → songs); `shares` is the
    target share of each subset in each genre. Groups are taken one by one, roughly the largest
    first, in an order drawn with `seed`; each goes to the subset in which its genres are furthest
    below their share, in songs. The last groups of a genre are reserved for subsets in which it has
    no song yet: a genre with as many own groups as there are subsets reaches them all.
    """
    active = [subset for subset in SUBSETS if shares[subset] > 0]
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for genre, found in placed.items():
        count[genre].update(found)
    total: Counter[str] = Counter()
    for genre in count:
        total.update({genre: sum(count[genre].values())})
    own: Counter[str] = Counter()  # remaining groups of this genre alone
    left: Counter[str] = Counter()  # remaining groups with a song of this genre
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
    """Shuffle the groups, roughly the largest first: small ones then even out the shares."""
    by_name = sorted(groups, key=lambda group: group.name)
    random = np.random.default_rng(seed)
    sizes = np.array([sum(group.counts.values()) for group in by_name])
    weights = sizes * random.uniform(0.5, 1.0, size=len(by_name))
    return [by_name[number] for number in np.argsort(-weights, kind="stable")]
