"""Cache of results per song, by content, in one SQLite file (`.cache/songs.sqlite`).

An entry's key is `cache_key` (settings, versions of code and libraries) and the sha256 of the
song. Entries survive a killed run. If the file cannot be read or written, results are computed and
not cached.
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
WAIT_SECONDS = 30  # for a lock of another process
QUERY_SIZE = 500  # keys in one query; SQLite allows 32 766 variables


# Versions of the code that computes results (feature families: `genre.features.families`). Raise a
# number if results change: cached results that depend on that part are then computed again.
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
    """Hash what a result depends on besides the song: settings, code and library versions.

    `code` names parts of `VERSIONS`, or gives versions by name.
    """
    parts = {
        "settings": settings,
        "code": code if isinstance(code, Mapping) else {name: VERSIONS[name] for name in code},
        "libraries": {name: importlib.metadata.version(name) for name in libraries},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Cache:
    """Cached results with one cache key, by the sha256 of the song."""

    def __init__(self, root: Path, work: str) -> None:
        """Open the cache of the project at `root` for the cache key `work`.

        DVC experiments, which run in a temporary folder, use the cache of the main checkout
        (`DVC_ROOT`).
        """
        self._work = work
        self._path = Path(os.environ.get("DVC_ROOT", root)) / FILE
        self._database: sqlite3.Connection | None = None
        try:
            self._database = self._open()
        except (OSError, sqlite3.Error) as error:
            print(f"{self._path}: cannot be used ({error}); computing everything", file=sys.stderr)

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database:
            self._database.close()

    def get(self, contents: Iterable[str]) -> dict[str, bytes]:
        """Return the cached results of these content hashes, without those that are not cached."""
        found: dict[str, bytes] = {}
        wanted = list(contents)
        if self._database is None:
            return found
        try:
            for first in range(0, len(wanted), QUERY_SIZE):
                part = wanted[first : first + QUERY_SIZE]
                marks = ",".join("?" * len(part))
                query = f"SELECT content, result FROM songs WHERE work = ? AND content IN ({marks})"
                found.update(self._database.execute(query, (self._work, *part)))
        except sqlite3.Error as error:
            self._give_up(error)
        return found

    def put(self, content: str, result: bytes) -> None:
        """Cache a result; it survives a kill of this process once this returns."""
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
            # A damaged file: its results can be computed again.
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
        print(f"{self._path}: {error}; results are no longer cached", file=sys.stderr)
        if self._database:
            self._database.close()
        self._database = None
