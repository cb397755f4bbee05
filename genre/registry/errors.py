"""The errors of an MLflow store, with what to do about them."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from genre.addresses import hidden
from genre.errors import RegistryError, UnusableStoreError
from genre.hints import command

SQLITE = "sqlite:///"
AUTOFLUSH = "(raised as a result of Query-invoked autoflush"  # a line of SQLAlchemy's
SERVER = "Check that the server is up and the address is right, then run the step again"
DAMAGED = (
    "Check that {file} can be written and is MLflow's database; if it is damaged, restore it from "
    "a backup, or move it away and type make run, which registers again"
)
# Words of an error of a SQLite store, in lower case; what to do; whether trying again may help.
REMEDIES = (
    (
        ("database is locked",),
        "Another program is writing to it: end that or wait for it, then run the same again",
        True,
    ),
    (
        ("is full", "disk i/o error", "no space left", "quota", "file too large"),
        "Check that its disk has room and is sound, then run the step again",
        True,
    ),
    (
        ("out-of-date database schema",),
        "It was written by an older MLflow. Copy the file, then type: {upgrade}",
        False,
    ),
    (
        ("readonly", "read-only", "permission denied", "not permitted"),
        "It may only be read here, or a killed command left a change unfinished: run the same as "
        "a user who may write to it",
        False,
    ),
    (("not a database", "malformed", "unable to open"), DAMAGED, False),
)


def file_of(uri: str) -> Path:
    """The file of a SQLite address."""
    return Path(uri.removeprefix(SQLITE))


@contextmanager
def named_errors(uri: str) -> Iterator[None]:
    """Raise what MLflow, SQLAlchemy and the network raise as `RegistryError` with a remedy."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise named(uri, error) from error


def named(uri: str, error: Exception) -> RegistryError:
    """The error to raise for what the store at `uri` raised: what is wrong, and what to do."""
    text = str(error).strip()
    lines = [line for line in text.splitlines() if not line.startswith(AUTOFLUSH)]
    cause = lines[0] if lines else type(error).__name__
    remedy, may_pass = SERVER, True
    if uri.startswith(SQLITE):
        known = (row for row in REMEDIES if any(words in text.lower() for words in row[0]))
        _, remedy, may_pass = next(known, ((), DAMAGED, True))
        upgrade = command(f"mlflow db upgrade {quote(uri)}")
        remedy = remedy.format(file=file_of(uri), upgrade=upgrade)
    kind = RegistryError if may_pass else UnusableStoreError
    message = f"tracking.uri {uri}: the MLflow store cannot be used ({cause}). {remedy}"
    return kind(hidden(message))


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress MLflow's warnings, printed lines and logged tracebacks; errors are raised."""
    log = logging.getLogger("mlflow")
    level = log.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            log.setLevel(level)
