"""Changes of the collection since the last registered retraining.

Its catalogue is kept in `.services/`, so that changes before a failed run are listed again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows import SERVICES
from genre.collection.catalogue_diff import COLUMNS, CatalogueDiff, compare
from genre.core.files import write_parquet
from genre.core.markdown import table
from tasks.io import paths

if TYPE_CHECKING:
    import pandas as pd

LAST = SERVICES / "retrain" / "catalogue.parquet"
SHOWN = 50  # songs in each list


def changes(root: Path) -> str:
    """Compare the catalogue with that of the last registered retraining, as Markdown."""
    last = root / LAST
    return as_markdown(compare(read(last) if last.exists() else None, read(root / paths.CATALOGUE)))


def save(root: Path) -> None:
    """Save the catalogue of a registered run."""
    write_parquet(root / LAST, read(root / paths.CATALOGUE))


def read(catalogue: Path) -> pd.DataFrame:
    """Read the columns of a catalogue that are compared."""
    import pandas as pd

    return pd.read_parquet(catalogue, columns=COLUMNS)


def as_markdown(found: CatalogueDiff) -> str:
    """Format the changes, with the first songs of each kind."""
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
