"""The SQLite database of an MLflow store: whether it exists, and how it is created."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from genre.files import atomic_path
from genre.registry.errors import SQLITE, file_of, named


def exists(uri: str) -> bool:
    """Whether there is a database at a SQLite address; raises `RegistryError` if not MLflow's."""
    path = file_of(uri)
    try:
        if not path.exists() or not path.stat().st_size:
            return False
        # Writing is allowed so that SQLite can roll back what a killed process left in a journal.
        address = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if tables and "alembic_version" not in tables:
            raise sqlite3.DatabaseError("file is not a database of MLflow")
    except (OSError, sqlite3.Error) as error:
        raise named(uri, error) from error
    return bool(tables)


def create(path: Path) -> None:
    """Let MLflow create its database beside `path`, and rename it when it is complete.

    MLflow commits some four hundred migrations one by one: a kill between two of them leaves a
    database that cannot be used, and waiting for the disk after each takes most of the time.
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
