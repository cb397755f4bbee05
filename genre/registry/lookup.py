"""From a model's name to the folder of its classifier, quickly: `models:/music-genre@champion`.

Importing MLflow costs two seconds. Where the store is an SQLite file and the model's files lie on
this machine, two questions to MLflow's own tables answer the same at once. Every call asks anew:
an alias that was moved is followed. Any other store is asked through MLflow.

Every file of the version is compared with what the registry noted of it when it was registered
(`genre.registry.artifacts`), and what is handed out is a copy of the very bytes that were compared.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from genre.errors import InputError
from genre.files import room_for
from genre.params import TrackingParams
from genre.promotion import CHAMPION
from genre.registry import artifacts
from genre.registry.database import SQLITE, reading
from genre.registry.faults import named_errors, quiet
from genre.registry.package import MODEL, REFERENCE
from genre.registry.store import open_existing, resolve_uri

SCHEME = "models:/"
URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
ARTIFACTS = "artifacts"  # in a pyfunc model's folder
LOADED = (f"{ARTIFACTS}/{MODEL}/", f"{ARTIFACTS}/{REFERENCE}/")  # what answers, and drift's figures
WHOLE = ("",)
WAIT_SECONDS = 30.0  # for a database that is being written to
# What SQLite says where the file, or its folder, may not be written to undo a killed commit.
UNFINISHED = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_IOERR_DELETE)

OF_MLFLOW = "SELECT version_num FROM alembic_version"
ALIAS = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
VERSION = (
    "SELECT coalesce(storage_location, source) FROM model_versions "
    "WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
)
NOTED = "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = ?"


@dataclass(frozen=True)
class Found:
    """A registered version: a checked copy of its files in `place`.

    Its classifier lies in `folder` (see `genre.models.ensemble`).
    """

    name: str
    version: str
    place: Path

    @property
    def folder(self) -> Path:
        """The classifier."""
        return self.place / ARTIFACTS / MODEL


@dataclass(frozen=True)
class _Registered:
    """What the registry says of a version: where its files are, and what they were."""

    version: str
    source: str
    noted: artifacts.Files | None


class _Elsewhere(Exception):
    """Only MLflow can answer."""


@contextmanager
def find(
    uri: str, tracking: TrackingParams, root: Path, *, parts: Sequence[str] = LOADED
) -> Iterator[Found]:
    """Look up `models:/NAME@ALIAS` or `models:/NAME/VERSION`; the copy goes afterwards.

    Of the version's files those below `parts` are copied. Raises `InputError` where there is no
    such version, its files are not those that were registered or the database is damaged,
    `RegistryError` where the store cannot be reached.
    """
    match = URI.fullmatch(uri)
    if not match:
        raise InputError(
            f"the model {uri!r}: expected {SCHEME}NAME@ALIAS, {SCHEME}NAME/VERSION or the folder "
            "of a classifier"
        )
    name, alias, version = match["name"], match["alias"], match["version"]
    store = resolve_uri(tracking.uri, root)
    with TemporaryDirectory(prefix="genre-model-") as temporary:
        place = Path(temporary)
        try:
            found = _in_database(store, name, alias, version)
            folder = artifacts.local(found.source)
            if folder is None:
                raise _Elsewhere
            with room_for(place):
                wrong = artifacts.changed(folder, found.noted, target=place, parts=parts)
        except _Elsewhere:
            found, wrong = _through_mlflow(tracking, root, name, alias, version, parts, place)
        if wrong:
            raise InputError(
                f"version {found.version} of {name}: {wrong}; nothing of it was loaded. Restore "
                f"them in {found.source} from a backup, or register again (dvc repro --force "
                "--single-item register); until then genre rollback goes back to the version before"
            )
        yield Found(name, found.version, place)


def _in_database(uri: str, name: str, alias: str | None, version: str | None) -> _Registered:
    """Ask the SQLite file; `_Elsewhere` where it is none, or not laid out as expected."""
    if not uri.startswith(SQLITE):
        raise _Elsewhere
    database = Path(uri.removeprefix(SQLITE))
    if not database.is_file() or not database.stat().st_size:
        raise _absent(name, alias, version)
    try:
        with reading(database, timeout=WAIT_SECONDS) as connection:
            connection.execute(OF_MLFLOW).fetchone()
            try:
                if alias:
                    row = connection.execute(ALIAS, (name, alias)).fetchone()
                    version = str(row[0]) if row else None
                row = version and connection.execute(VERSION, (name, int(version))).fetchone()
                noted = (name, version, artifacts.FILES)
                tag = row and connection.execute(NOTED, noted).fetchone()
            except sqlite3.OperationalError as error:
                if "no such" in str(error):  # a table or column: MLflow in another version
                    raise _Elsewhere from error
                raise
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in UNFINISHED:
            raise InputError(
                f"{database}: a killed command left a change half-done, and it may not be undone "
                "from here; whoever may write there undoes it by genre models"
            ) from error
        raise InputError(
            f"{database}: not a sound database of MLflow ({error}). Restore it from a backup, or "
            "move it away, and the next run registers again"
        ) from error
    if not version or not row:
        raise _absent(name, alias, version)
    return _Registered(version, str(row[0]), artifacts.read(tag[0] if tag else None))


def _through_mlflow(
    tracking: TrackingParams,
    root: Path,
    name: str,
    alias: str | None,
    version: str | None,
    parts: Sequence[str],
    target: Path,
) -> tuple[_Registered, str | None]:
    """Ask MLflow, and bring the files below `parts` to `target`; also what is wrong with them."""
    store = open_existing(tracking, root)
    from mlflow.exceptions import MlflowException

    with named_errors(store.uri), quiet():
        try:
            if alias:
                version = str(store.client.get_model_version_by_alias(name, alias).version)
            assert version is not None
            source = store.client.get_model_version_download_uri(name, version)
            tags = store.client.get_model_version(name, version).tags
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise _absent(name, alias, version) from error
        found = _Registered(version, source, artifacts.read(tags.get(artifacts.FILES)))
        with room_for(target):
            return found, artifacts.bring(store, source, found.noted, parts, target)


def _absent(name: str, alias: str | None, version: str | None) -> InputError:
    if alias == CHAMPION:
        return InputError(
            f"there is no champion of {name} yet: make run trains and registers one (genre models "
            "lists what is registered)"
        )
    what = f"alias {alias}" if alias else f"version {version}"
    return InputError(f"{name} has no {what}; genre models lists what is registered")
