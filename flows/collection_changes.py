"""What changed in the collection since the last retraining that was registered.

Its catalogue is kept below `.services/`: a run that failed is no reason to forget what it added.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows import SERVICES
from genre.collection.changes import COLUMNS, Changes, between
from genre.core.files import write_parquet
from genre.core.markdown import table
from tasks.io import paths

if TYPE_CHECKING:
    import pandas as pd

LAST = SERVICES / "retrain" / "catalogue.parquet"
SHOWN = 50  # songs of each list


def changes(root: Path) -> str:
    """As Markdown, how the catalogue differs from that of the last registered retraining."""
    last = root / LAST
    return as_markdown(between(read(last) if last.exists() else None, read(root / paths.CATALOGUE)))


def remember(root: Path) -> None:
    """Keep the catalogue of a run that was registered."""
    write_parquet(root / LAST, read(root / paths.CATALOGUE))


def read(catalogue: Path) -> pd.DataFrame:
    """What a comparison needs of a catalogue."""
    import pandas as pd

    return pd.read_parquet(catalogue, columns=COLUMNS)


def as_markdown(found: Changes) -> str:
    """The changes, the first songs of each kind by name."""
    kinds = {
        "added": (found.added, ["path"]),
        "removed": (found.removed, ["path"]),
        "moved to another genre": (found.relabelled, ["path", "was"]),
        "newly set aside": (found.set_aside, ["path", "reason"]),
    }
    parts = [f"{found.songs} usable songs."]
    parts += ["Nothing has changed."] if not found else []
    for kind, (rows, columns) in kinds.items():
        if len(rows):
            counts = rows["genre"].value_counts().sort_index()
            genres = ", ".join(f"{genre} {count}" for genre, count in counts.items())
            shown = rows[columns].head(SHOWN).itertuples(index=False)
            parts += [f"## {len(rows)} {kind}", genres, table(columns, shown, left=2)]
            if len(rows) > SHOWN:
                parts.append(f"… and {len(rows) - SHOWN} more")
    return "\n\n".join(parts) + "\n"
