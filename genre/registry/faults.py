"""The errors, warnings and output of MLflow, as messages of this project."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote

from genre.addresses import hidden
from genre.errors import RegistryError, UnusableStoreError
from genre.files import NO_ROOM
from genre.hints import command
from genre.registry.database import SQLITE, file_of

LOCKED, OLD = "database is locked", "out-of-date database schema"
# Errors of a SQLite file that do not pass.
LASTING = (
    "readonly",
    "read-only",
    "not a database",
    "malformed",
    "unable to open",
    OLD,
)
ADVICE = "(raised as a result of Query-invoked autoflush"  # SQLAlchemy's, before the cause
FULL = ("is full", "disk I/O error")  # SQLite says the latter where a file may not grow further
ROOM = "Check that its disk has room and is sound, then run the step again"
# SQLite's codes if the file, or its folder, may not be written to undo a killed commit.
UNFINISHED = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_IOERR_DELETE)
LASTING_NUMBERS = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def named_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow, SQLAlchemy and the network raise into `RegistryError` with a remedy."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise named(uri, error) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's warnings, printed lines and logged tracebacks to itself; errors are raised."""
    log = logging.getLogger("mlflow")
    level = log.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            log.setLevel(level)


def named(uri: str, error: Exception) -> RegistryError:
    """The error to raise for what the store at `uri` raised: what is wrong, and what to do."""
    text = str(error).strip()
    lines = [line for line in text.splitlines() if not line.startswith(ADVICE)]
    cause = lines[0] if lines else type(error).__name__
    unfinished = getattr(error, "sqlite_errorcode", None) in UNFINISHED
    lasting = uri.startswith(SQLITE) and (
        unfinished
        or any(word in text for word in LASTING)
        or getattr(error, "errno", None) in LASTING_NUMBERS
    )
    kind = UnusableStoreError if lasting else RegistryError
    full = getattr(error, "errno", None) in NO_ROOM or any(word in text for word in FULL)
    remedy = ROOM if full and not unfinished else _remedy(uri, text, unfinished=unfinished)
    words = f"the MLflow store cannot be used ({cause}). {remedy}"
    return kind(hidden(f"tracking.uri {uri}: {words}"))


def _remedy(uri: str, text: str, *, unfinished: bool) -> str:
    if not uri.startswith(SQLITE):
        return "Check that the server is up and the address is right, then run the step again"
    if unfinished:
        return (
            "A command was killed while it wrote, and the database is read-only here, so that the "
            f"unfinished change cannot be undone. As a user who may write to it, type: "
            f"{command('genre models')}"
        )
    if LOCKED in text:
        return "Another program is writing to it: end that or wait for it, then run the same again"
    if OLD in text:
        upgrade = command(f"mlflow db upgrade {quote(uri)}")
        return f"It was written by an older MLflow. Copy the file, then type: {upgrade}"
    return (
        f"Check that {file_of(uri)} can be written and is MLflow's database; if it is damaged, "
        "restore it from a backup, or move it away and type make run, which registers again"
    )
