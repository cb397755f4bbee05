"""Errors of the MLflow store as `RegistryError`, with remedies."""

from __future__ import annotations

import contextlib
import io
import logging
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from genre.core.errors import RegistryError, UnusableStoreError
from genre.core.urls import redact

SQLITE = "sqlite:///"
SERVER_REMEDY = "Check that the server is up and the address is right, then run the same again"
SQLITE_REMEDY = (
    "Check that its disk has room, that you may write to it and that no other program does, then "
    "run the same again. If {file} is damaged, restore it from a backup, or move it away and type "
    "make run, which registers again"
)
# Parts of error messages of SQLite and MLflow that a retry does not fix.
PERMANENT = (
    *("out-of-date database schema", "readonly", "read-only", "permission denied"),
    *("not permitted", "not a database", "malformed", "unable to open"),
)
AUTOFLUSH = "(raised as a result of Query-invoked autoflush"  # a line of SQLAlchemy's


@contextmanager
def or_exists() -> Iterator[None]:
    """Ignore MLflow's error that an entity already exists; another machine may create it."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Silence MLflow; raise errors of MLflow, SQLite and the network as `RegistryError`."""
    log = logging.getLogger("mlflow")
    level = log.level
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            log.setLevel(logging.CRITICAL)
            yield
    except Exception as error:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        if not isinstance(error, MlflowException | SQLAlchemyError | sqlite3.Error | OSError):
            raise
        raise to_registry_error(uri, error) from error
    finally:
        log.setLevel(level)


def to_registry_error(uri: str, error: Exception) -> RegistryError:
    """The `RegistryError` for an error of the store, with its cause and a remedy."""
    text = str(error).strip()
    lines = [line for line in text.splitlines() if not line.startswith(AUTOFLUSH)]
    cause = lines[0] if lines else type(error).__name__
    remedy, permanent = SERVER_REMEDY, False
    if uri.startswith(SQLITE):
        remedy = SQLITE_REMEDY.format(file=uri.removeprefix(SQLITE))
        permanent = any(part in text.lower() for part in PERMANENT)
    message = f"tracking.uri {uri}: the MLflow store cannot be used ({cause}). {remedy}"
    return (UnusableStoreError if permanent else RegistryError)(redact(message))
