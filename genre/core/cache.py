"""What was computed of a song before, kept by content: of what, how, and by which code.

A store is one SQLite file, `.cache/songs.sqlite` of the checkout. An entry's key is the sha256 of
the work (`cache_key`: settings, versions of code and of libraries) and of the content worked on;
a killed run keeps what it had put. Losing the file costs time and nothing else: where it cannot be
read or written, everything is computed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

FILE = Path(".cache/songs.sqlite")
WAIT_SECONDS = 30  # for another run that is writing
ENTRIES_TOGETHER = 500  # in one query; SQLite takes 32 766 variables


# The code that computes results, by part (feature families: see `genre.features.families`). Raise a
# number if results change: whatever depends on that part is then computed again. Moved or reworded
# code keeps what was computed.
VERSIONS = {
    "audio": 1,
    "defects": 1,
    "fingerprints": 1,
    "log_mel": 1,
    "samples": 1,
    "spectrogram": 1,
    "trim": 1,
}


def cache_key(
    settings: Mapping[str, Any], code: Sequence[str] | Mapping[str, int], libraries: Sequence[str]
) -> str:
    """Hash what a result depends on besides the song: settings, our code, library versions.

    `code` names parts of `VERSIONS`, or gives versions by name.
    """
    parts = {
        "settings": settings,
        "code": code if isinstance(code, Mapping) else {name: VERSIONS[name] for name in code},
        "libraries": {name: importlib.metadata.version(name) for name in libraries},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Store:
    """Results of one kind of work, by the hash of the content that was worked on."""

    def __init__(self, root: Path, work: str) -> None:
        """Open the store of the checkout at `root` for the work with this cache key.

        In the temporary folder of a DVC experiment the store is that of the main checkout
        (`DVC_ROOT`).
        """
        self._work = work
        self._path = Path(os.environ.get("DVC_ROOT", root)) / FILE
        self._database: sqlite3.Connection | None = None
        try:
            self._database = self._open()
        except (OSError, sqlite3.Error) as error:
            print(f"{self._path}: cannot be used ({error}); computing everything", file=sys.stderr)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database:
            self._database.close()

    def get(self, contents: Iterable[str]) -> dict[str, bytes]:
        """The results kept for these content hashes; those that are not kept are absent."""
        found: dict[str, bytes] = {}
        wanted = list(contents)
        if self._database is None:
            return found
        try:
            for first in range(0, len(wanted), ENTRIES_TOGETHER):
                part = wanted[first : first + ENTRIES_TOGETHER]
                marks = ",".join("?" * len(part))
                query = f"SELECT content, result FROM songs WHERE work = ? AND content IN ({marks})"
                found.update(self._database.execute(query, (self._work, *part)))
        except sqlite3.Error as error:
            self._give_up(error)
        return found

    def put(self, content: str, result: bytes) -> None:
        """Keep a result; once this returns, a kill of this process does not lose it."""
        if self._database is None:
            return
        try:
            with self._database:
                self._database.execute(
                    "INSERT OR REPLACE INTO songs VALUES (?, ?, ?)", (self._work, content, result)
                )
        except sqlite3.Error as error:
            self._give_up(error)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            # Not a database any more: what it held can be computed again.
            for left in self._path.parent.glob(f"{self._path.name}*"):
                left.unlink()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=WAIT_SECONDS)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS songs "
                "(work TEXT, content TEXT, result BLOB, PRIMARY KEY (work, content)) WITHOUT ROWID"
            )
        except sqlite3.Error:
            with closing(database):
                raise
        return database

    def _give_up(self, error: sqlite3.Error) -> None:
        print(f"{self._path}: {error}; what follows is computed and not kept", file=sys.stderr)
        if self._database:
            self._database.close()
        self._database = None
