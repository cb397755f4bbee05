"""The SQLite file of an MLflow store: whether it is one, and how it is made.

Nothing here writes to a file that exists, except for SQLite itself, which rolls back what a killed
commit left (`reading`). Errors are those of `sqlite3` and the system; `genre.registry.store` turns
them into messages.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from genre.files import atomic_path

SQLITE = "sqlite:///"
HEADER = b"SQLite format 3\x00"
OF_MLFLOW = "alembic_version"  # a table that every MLflow database has


def file_of(uri: str) -> Path:
    """The file of a SQLite address."""
    return Path(uri.removeprefix(SQLITE))


def has_content(path: Path) -> bool:
    """Whether `path` is there and not empty."""
    return path.exists() and path.stat().st_size > 0


def check(path: Path) -> bool:
    """Whether there is a database at `path`.

    Raises `sqlite3.DatabaseError` for a file that is no sound one or that holds the tables of
    something else than MLflow, `OSError` where it cannot be read.
    """
    if not has_content(path):
        return False
    with path.open("rb") as handle:
        header = handle.read(len(HEADER))
    if header != HEADER:
        raise sqlite3.DatabaseError("file is not a database")
    with reading(path) as database:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if found and OF_MLFLOW not in found:
        raise sqlite3.DatabaseError("file is not a database of MLflow")
    return bool(found)


def create(path: Path) -> None:
    """Let MLflow make its database, and put it in place when it is whole.

    It writes its history of migrations, some four hundred changes, one by one. Killed among them,
    it could not go on; and as nobody needs them kept before the last, they need not wait for the
    disk, which takes most of the time.
    """
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def do_not_wait(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    with atomic_path(path) as temporary:
        event.listen(Engine, "connect", do_not_wait)
        try:
            uri = f"{SQLITE}{temporary}"
            MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        finally:
            event.remove(Engine, "connect", do_not_wait)


@contextlib.contextmanager
def reading(path: Path, *, timeout: float = 5.0) -> Iterator[sqlite3.Connection]:
    """A connection to the database at `path`, which must be there, for reading.

    A commit that was killed leaves a journal, and nobody reads before it is undone, which takes the
    right to write: hence `rw`. It makes no file, and where writing is not allowed SQLite reads all
    the same. `timeout` is in seconds: how long to wait for a writer.
    """
    address = f"{path.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=timeout)) as database:
        yield database
