"""What changed between two catalogues: songs that came, went, moved or were newly set aside.

A song is its content (`track_id`), wherever its file lies; a file that cannot be used is its path.
"""

from __future__ import annotations

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
    """Compare two catalogues (`data/catalogue.parquet`); null before: everything is new."""
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


def _sorted(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table[list(columns)].sort_values("path", ignore_index=True)
