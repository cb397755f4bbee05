"""The protocol `predefined`: a column of the manifest gives the subset of each song.

It is followed except for near-copies across subsets: a song is excluded if a copy of it is in test,
or, for a training song, in validation. So the evaluated songs are those of the manifest, and none
of them is seen in training.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from typing import TYPE_CHECKING

from genre.core.errors import InputError
from genre.splits.allocation import EXCLUDED, TEST, TRAIN, VALIDATION, Placement
from genre.splits.groups import components

if TYPE_CHECKING:
    import pandas as pd

SUBSET_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "valid": VALIDATION,
    "val": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "": EXCLUDED,
}
KEPT_FIRST = (TEST, VALIDATION, TRAIN)  # which subset keeps a recording with copies in several


def placements(
    catalogue: pd.DataFrame, songs: pd.DataFrame, column: str
) -> tuple[dict[str, Placement], list[str]]:
    """Place `songs` by `column` of `catalogue`; return placements and excluded near-copies.

    An empty cell excludes the song. Groups are those of `songs`, within each subset. Raises
    `InputError` if the column is missing, a name is unknown, or exact copies of a recording are in
    several subsets.
    """
    if column not in catalogue.columns:
        raise InputError(
            f"split.protocol is predefined, and the manifest has no column {column!r}; found "
            f"{', '.join(str(name) for name in catalogue.columns)}"
        )
    found = catalogue[column].astype("object").where(catalogue[column].notna(), "")
    names = found.map(lambda name: str(name).strip().casefold())
    if unknown := sorted(set(names) - set(SUBSET_NAMES)):
        near = difflib.get_close_matches(unknown[0], [name for name in SUBSET_NAMES if name], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        example = catalogue.loc[names == unknown[0], "path"].iloc[0]
        raise InputError(
            f"{example}: the manifest's column {column!r} says {unknown[0]!r}{hint}; expected "
            "train, valid, test or nothing"
        )
    assigned = catalogue.assign(subset=names.map(SUBSET_NAMES))
    _check_copies(assigned, column)
    usable = assigned[assigned["status"] == "ok"].set_index("track_id")["subset"]
    subsets = songs["track_id"].map(usable)
    if not (subsets != EXCLUDED).any():
        raise InputError(
            f"the manifest's column {column!r} is empty for every usable song; expected train, "
            "valid or test"
        )
    groups: dict[tuple[int, str], str] = {}
    result = {}
    for track, label, subset in zip(songs["track_id"], components(songs), subsets, strict=True):
        group = groups.setdefault((int(label), subset), track)  # songs come sorted by track_id
        result[track] = Placement(group, subset)
    return result, _exclude_copies(songs, result)


def _check_copies(assigned: pd.DataFrame, column: str) -> None:
    """Raise `InputError` if the column puts exact copies of a recording into several subsets."""
    first = assigned["track_id"].where(assigned["duplicate_of"].isna(), assigned["duplicate_of"])
    used = assigned[assigned["subset"] != EXCLUDED]
    for _, copies in used.groupby(first):
        if copies["subset"].nunique() > 1:
            where = ", ".join(f"{row.path} ({row.subset})" for row in copies.itertuples())
            raise InputError(
                f"the manifest's column {column!r} has one recording in several subsets: {where}"
            )


def _exclude_copies(songs: pd.DataFrame, result: dict[str, Placement]) -> list[str]:
    """Exclude, in place, songs with a near-copy in a subset of higher priority; return them."""
    copies_of: dict[str, list[str]] = defaultdict(list)
    for track, copies in zip(songs["track_id"], songs["copies"], strict=True):
        if copies is not None and result[track].subset != EXCLUDED:
            copies_of[copies].append(track)
    excluded = []
    for tracks in copies_of.values():
        keep = min((result[track].subset for track in tracks), key=KEPT_FIRST.index)
        excluded += [track for track in tracks if result[track].subset != keep]
    for track in excluded:
        result[track] = Placement(result[track].group, EXCLUDED)
    return sorted(excluded)
