"""What MLflow raises, warns of and prints, in words for the people who use this project."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from genre.addresses import hidden
from genre.errors import RegistryError, UnusableStoreError
from genre.files import NO_ROOM
from genre.registry.database import SQLITE, file_of

# What ails a SQLite file that no further try will mend.
LASTING = (
    "readonly",
    "read-only",
    "not a database",
    "malformed",
    "unable to open",
    "out-of-date database schema",
)
ADVICE = "(raised as a result of Query-invoked autoflush"  # SQLAlchemy's, before the cause
FULL = ("is full", "disk I/O error")  # SQLite says the latter where a file may not grow further
ROOM = "Check that its disk has room and is sound, then run the step again"
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
    lasting = uri.startswith(SQLITE) and (
        any(word in text for word in LASTING) or getattr(error, "errno", None) in LASTING_NUMBERS
    )
    kind = UnusableStoreError if lasting else RegistryError
    full = getattr(error, "errno", None) in NO_ROOM or any(word in text for word in FULL)
    remedy = ROOM if full else _remedy(uri)
    words = f"the MLflow store cannot be used ({cause}). {remedy}"
    return kind(hidden(f"tracking.uri {uri}: {words}"))


def _remedy(uri: str) -> str:
    if uri.startswith(SQLITE):
        return (
            f"Check that {file_of(uri)} can be written and is MLflow's database; if it is "
            "damaged, restore it from a backup or move it away, and the next run registers again"
        )
    return "Check that the server is up and the address is right, then run the step again"
