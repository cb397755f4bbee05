"""The errors of an MLflow store, with what to do about them."""

from __future__ import annotations

import contextlib
import io
import logging
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from genre.core.addresses import hidden
from genre.core.errors import RegistryError, UnusableStoreError

SQLITE = "sqlite:///"
SERVER_REMEDY = "Check that the server is up and the address is right, then run the same again"
SQLITE_REMEDY = (
    "Check that its disk has room, that you may write to it and that no other program does, then "
    "run the same again. If {file} is damaged, restore it from a backup, or move it away and type "
    "make run, which registers again"
)
# Words in errors of SQLite and MLflow that a second try does not fix.
LASTING = (
    *("out-of-date database schema", "readonly", "read-only", "permission denied"),
    *("not permitted", "not a database", "malformed", "unable to open"),
)
AUTOFLUSH = "(raised as a result of Query-invoked autoflush"  # a line of SQLAlchemy's


@contextmanager
def or_exists() -> Iterator[None]:
    """Ignore MLflow's error that what is created exists already: another machine may create it."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def named_errors(uri: str) -> Iterator[None]:
    """Silence MLflow; raise its, SQLite's and the network's errors as `RegistryError`."""
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
        raise named(uri, error) from error
    finally:
        log.setLevel(level)


def named(uri: str, error: Exception) -> RegistryError:
    """What is wrong with the store, and what to do."""
    text = str(error).strip()
    lines = [line for line in text.splitlines() if not line.startswith(AUTOFLUSH)]
    cause = lines[0] if lines else type(error).__name__
    remedy, lasting = SERVER_REMEDY, False
    if uri.startswith(SQLITE):
        remedy = SQLITE_REMEDY.format(file=uri.removeprefix(SQLITE))
        lasting = any(words in text.lower() for words in LASTING)
    message = f"tracking.uri {uri}: the MLflow store cannot be used ({cause}). {remedy}"
    return (UnusableStoreError if lasting else RegistryError)(hidden(message))
