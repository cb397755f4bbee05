"""The protocol `predefined`: a column of the manifest says where each song goes.

It is followed to the letter but for near-copies that it puts on two sides: a song is excluded
where a copy of it is in test, or, for a training song, in validation. What the
evaluated songs are is then as the manifest says, and none of them has been heard in training.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from typing import TYPE_CHECKING

from genre.core.errors import InputError
from genre.splits.groups import components
from genre.splits.placing import EXCLUDED, TEST, TRAIN, VALIDATION, Place

if TYPE_CHECKING:
    import pandas as pd

WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "valid": VALIDATION,
    "val": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "": EXCLUDED,
}
KEPT_FIRST = (TEST, VALIDATION, TRAIN)  # the side that keeps a recording with copies on several


def places(
    catalogue: pd.DataFrame, songs: pd.DataFrame, column: str
) -> tuple[dict[str, Place], list[str]]:
    """The place of each song in `songs`, as `column` of `catalogue` says, and parted near-copies.

    An empty word excludes the song. Groups, over which intervals are drawn, are what `songs` ties,
    within a subset. The list names the songs that are excluded because a near-copy is on another
    side, sorted. Raises `InputError` where the column is missing, a word is unknown, or exact
    copies of one recording are on two sides.
    """
    if column not in catalogue.columns:
        raise InputError(
            f"split.protocol is predefined, and the manifest has no column {column!r}; found "
            f"{', '.join(str(name) for name in catalogue.columns)}"
        )
    found = catalogue[column].astype("object").where(catalogue[column].notna(), "")
    words = found.map(lambda word: str(word).strip().casefold())
    if unknown := sorted(set(words) - set(WORDS)):
        near = difflib.get_close_matches(unknown[0], [word for word in WORDS if word], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        example = catalogue.loc[words == unknown[0], "path"].iloc[0]
        raise InputError(
            f"{example}: the manifest's column {column!r} says {unknown[0]!r}{hint}; expected "
            "train, valid, test or nothing"
        )
    said = catalogue.assign(subset=words.map(WORDS))
    _check_copies(said, column)
    usable = said[said["status"] == "ok"].set_index("track_id")["subset"]
    subsets = songs["track_id"].map(usable)
    if not (subsets != EXCLUDED).any():
        raise InputError(
            f"the manifest's column {column!r} is empty for every usable song; expected train, "
            "valid or test"
        )
    names: dict[tuple[int, str], str] = {}
    result = {}
    for track, label, subset in zip(songs["track_id"], components(songs), subsets, strict=True):
        group = names.setdefault((int(label), subset), track)  # songs come sorted by track_id
        result[track] = Place(group, subset)
    return result, _part_copies(songs, result)


def _check_copies(said: pd.DataFrame, column: str) -> None:
    """Raise `InputError` where exact copies of one recording are said to be on two sides."""
    first = said["track_id"].where(said["duplicate_of"].isna(), said["duplicate_of"])
    used = said[said["subset"] != EXCLUDED]
    for _, copies in used.groupby(first):
        if copies["subset"].nunique() > 1:
            where = ", ".join(f"{row.path} ({row.subset})" for row in copies.itertuples())
            raise InputError(
                f"the manifest's column {column!r} has one recording on two sides: {where}"
            )


def _part_copies(songs: pd.DataFrame, result: dict[str, Place]) -> list[str]:
    """Exclude, in place, songs with a near-copy on a side that is kept first; return them."""
    together: dict[str, list[str]] = defaultdict(list)
    for track, copies in zip(songs["track_id"], songs["copies"], strict=True):
        if copies is not None and result[track].subset != EXCLUDED:
            together[copies].append(track)
    parted = []
    for tracks in together.values():
        keep = min((result[track].subset for track in tracks), key=KEPT_FIRST.index)
        parted += [track for track in tracks if result[track].subset != keep]
    for track in parted:
        result[track] = Place(result[track].group, EXCLUDED)
    return sorted(parted)
