"""`manifest.csv`: metadata of songs, a row per song.

Columns: `path` (relative to the manifest's folder, posix), `genre`, `artist`, `title`, `licence`,
`source`, and any further columns, which are kept. Comma-separated, UTF-8.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from unicodedata import normalize

from genre.core.errors import CollectionError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "manifest.csv"
COLUMNS = ("path", "genre", "artist", "title", "licence", "source")

Row = dict[str, str]


@dataclass
class Manifest:
    """The rows by path, and the columns in the order of the file."""

    rows: dict[str, Row] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    composed: dict[str, str] = field(default_factory=dict)  # paths by their NFC form

    def find(self, path: str) -> Row | None:
        """Return the row of a song, compared in Unicode NFC."""
        if path in self.rows:
            return self.rows[path]
        return self.rows.get(self.composed.get(normalize("NFC", path), ""))

    def table(self, songs: Iterable[str]) -> pd.DataFrame:
        """Return the rows of `songs` as a table, with None for empty cells."""
        import pandas as pd

        rows = [{**row, "path": song} for song in songs if (row := self.find(song))]
        columns = ["path", *(name for name in self.columns if name != "path")]
        return pd.DataFrame(rows, columns=columns, dtype="object").replace("", None)

    def add_columns(self, columns: Iterable[str]) -> None:
        """Append new columns."""
        self.columns += [name for name in columns if name not in self.columns]

    def text(self) -> str:
        """Return the content of the file: rows sorted by path, standard columns first."""
        further = [name for name in self.columns if name not in COLUMNS]
        written = io.StringIO()
        writer = csv.DictWriter(written, [*COLUMNS, *further], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows[path] for path in sorted(self.rows))
        return written.getvalue()


def read(folder: Path) -> Manifest:
    """Read the manifest of `folder`; empty if there is none.

    Raises `CollectionError` if it is not CSV with a column `path`.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return Manifest()
    try:
        # newline="" keeps line ends inside quotes.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [(name or "").strip() for name in reader.fieldnames or []]
            if "path" not in columns:
                raise CollectionError(f"{path}: found columns {columns}, expected one named path")
            reader.fieldnames = columns
            rows = {}
            for row in reader:
                if None in row:
                    raise CollectionError(
                        f"{path}: line {reader.line_num} has more cells than the header; "
                        "put text that holds a comma in double quotes"
                    )
                cells = {name: (value or "").strip() for name, value in row.items() if name}
                cells["path"] = _normal(cells["path"])
                rows[cells["path"]] = cells
    except UnicodeDecodeError as error:
        raise CollectionError(f"{path}: is not UTF-8 ({error}); save it as UTF-8") from error
    except csv.Error as error:
        raise CollectionError(f"{path}: cannot be read as CSV ({error})") from error
    rows.pop("", None)
    composed = {normalize("NFC", known): known for known in rows}
    return Manifest(rows, [name for name in columns if name], composed)


def _normal(path: str) -> str:
    """Normalise a path to posix."""
    text = path.replace("\\", "/")
    return "" if not text else PurePosixPath(text).as_posix()
