"""What changed between two catalogues: songs that came, went, moved or were newly set aside.

A song is its content (`track_id`), wherever its file lies; a file that cannot be used is its path.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["track_id", "path", "genre", "status", "reason"]


@dataclass(frozen=True)
class Changes:
    """Tables with the columns `path, genre` and, of `relabelled`, `was`; of `set_aside`, `reason`.

    Each is sorted by path. `songs` are usable now.
    """

    songs: int
    added: pd.DataFrame
    removed: pd.DataFrame
    relabelled: pd.DataFrame
    set_aside: pd.DataFrame

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return any(map(len, (self.added, self.removed, self.relabelled, self.set_aside)))


def between(before: pd.DataFrame | None, after: pd.DataFrame) -> Changes:
    """Compare two catalogues (`data/catalogue.parquet`); None before: everything is new."""
    before = after.iloc[:0] if before is None else before
    was, now = (table[table["status"] == "ok"].set_index("track_id") for table in (before, after))
    both = now.index.intersection(was.index)
    moved = now.loc[both].assign(was=was.loc[both, "genre"])
    aside = after[after["status"] != "ok"]
    known = before.loc[before["status"] != "ok", ["path", "reason"]]
    fresh = aside.merge(known, how="left", on=["path", "reason"], indicator="there")
    return Changes(
        songs=len(now),
        added=_sorted(now.loc[now.index.difference(was.index)], "path", "genre"),
        removed=_sorted(was.loc[was.index.difference(now.index)], "path", "genre"),
        relabelled=_sorted(moved[moved["genre"] != moved["was"]], "path", "was", "genre"),
        set_aside=_sorted(fresh[fresh["there"] == "left_only"], "path", "genre", "reason"),
    )


def renamed(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, str]:
    """The genres whose folder was renamed: old name to new name.

    Both tables have the columns `track_id` and `genre`. A genre was renamed if none of its name is
    left, and most of its songs that are still there are now of one genre that was not there before.
    If several became one, they were merged, and none was renamed.
    """
    both = before[["track_id", "genre"]].merge(after[["track_id", "genre"]], on="track_id")
    sizes = both["genre_x"].value_counts()
    counts = Counter(zip(both["genre_x"], both["genre_y"], strict=True))
    gone = set(before["genre"]) - set(after["genre"])
    fresh = set(after["genre"]) - set(before["genre"])
    found = {
        str(old): str(new)
        for (old, new), count in counts.items()
        if old in gone and new in fresh and 2 * count > sizes[old]
    }
    merged = {new for new, count in Counter(found.values()).items() if count > 1}
    return {old: new for old, new in found.items() if new not in merged}


def _sorted(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table[list(columns)].sort_values("path", ignore_index=True)
