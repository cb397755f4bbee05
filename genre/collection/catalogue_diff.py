"""Compare two catalogues: songs that were added, removed, relabelled or set aside.

Songs are identified by their content (`track_id`), files that cannot be used by their path.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["track_id", "path", "genre", "status", "reason"]


@dataclass(frozen=True)
class CatalogueDiff:
    """The number of usable songs now, and tables of changes, each sorted by path.

    Columns are `path, genre`; `relabelled` also has `was`, and `set_aside` `reason`.
    """

    songs: int
    added: pd.DataFrame
    removed: pd.DataFrame
    relabelled: pd.DataFrame
    set_aside: pd.DataFrame

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return any(map(len, (self.added, self.removed, self.relabelled, self.set_aside)))


def compare(before: pd.DataFrame | None, after: pd.DataFrame) -> CatalogueDiff:
    """Compare two catalogues (`data/catalogue.parquet`); if `before` is None, all is new."""
    before = after.iloc[:0] if before is None else before
    was, now = (table[table["status"] == "ok"].set_index("track_id") for table in (before, after))
    both = now.index.intersection(was.index)
    moved = now.loc[both].assign(was=was.loc[both, "genre"])
    aside = after[after["status"] != "ok"]
    known = before.loc[before["status"] != "ok", ["path", "reason"]]
    fresh = aside.merge(known, how="left", on=["path", "reason"], indicator="there")
    return CatalogueDiff(
        songs=len(now),
        added=_sorted(now.loc[now.index.difference(was.index)], "path", "genre"),
        removed=_sorted(was.loc[was.index.difference(now.index)], "path", "genre"),
        relabelled=_sorted(moved[moved["genre"] != moved["was"]], "path", "was", "genre"),
        set_aside=_sorted(fresh[fresh["there"] == "left_only"], "path", "genre", "reason"),
    )


def renamed(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, str]:
    """Return the genres whose folder was renamed: old name to new name.

    Both tables have the columns `track_id` and `genre`. A genre was renamed if it has no songs any
    more, and most of its remaining songs are now in one genre that is new. Several genres that
    became one were merged, not renamed.
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
