"""From a model's name to the folder of its classifier, quickly: `models:/music-genre@champion`.

Importing MLflow costs two seconds. Where the store is an SQLite file and the model's files lie on
this machine, two questions to MLflow's own tables answer the same at once. Every call asks anew:
an alias that was moved is followed. Any other store is asked through MLflow.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

from genre.errors import InputError
from genre.params import TrackingParams
from genre.promotion import CHAMPION
from genre.registry.database import SQLITE
from genre.registry.faults import named_errors, quiet
from genre.registry.package import MODEL, REFERENCE
from genre.registry.store import open_existing, resolve_uri

SCHEME = "models:/"
URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
ARTIFACTS = "artifacts"  # in a pyfunc model's folder
WAIT_SECONDS = 30.0  # for a database that is being written to

OF_MLFLOW = "SELECT version_num FROM alembic_version"
ALIAS = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
VERSION = (
    "SELECT coalesce(storage_location, source) FROM model_versions "
    "WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
)


@dataclass(frozen=True)
class Found:
    """The classifier of a registered version, in `folder` (see `genre.models.ensemble`)."""

    name: str
    version: str
    folder: Path


class _Elsewhere(Exception):
    """Only MLflow can answer."""


@contextmanager
def find(uri: str, tracking: TrackingParams, root: Path) -> Iterator[Found]:
    """Look up `models:/NAME@ALIAS` or `models:/NAME/VERSION`; files brought here go afterwards.

    Raises `InputError` where there is no such version, its files are gone or the database is
    damaged, `RegistryError` where the store cannot be reached.
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
        try:
            found = _in_database(store, name, alias, version)
        except _Elsewhere:
            found = _through_mlflow(tracking, root, name, alias, version, Path(temporary))
        yield found


def _in_database(uri: str, name: str, alias: str | None, version: str | None) -> Found:
    """Ask the SQLite file; `_Elsewhere` where it is none, or not laid out as expected."""
    if not uri.startswith(SQLITE):
        raise _Elsewhere
    database = Path(uri.removeprefix(SQLITE))
    if not database.is_file() or not database.stat().st_size:
        raise _absent(name, alias, version)
    address = f"{database.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS)) as connection:
            connection.execute(OF_MLFLOW).fetchone()
            try:
                if alias:
                    row = connection.execute(ALIAS, (name, alias)).fetchone()
                    version = str(row[0]) if row else None
                row = version and connection.execute(VERSION, (name, int(version))).fetchone()
            except sqlite3.OperationalError as error:
                if "no such" in str(error):  # a table or column: MLflow in another version
                    raise _Elsewhere from error
                raise
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"{database}: not a sound database of MLflow ({error}). Restore it from a backup, or "
            "move it away, and the next run registers again"
        ) from error
    if not version or not row:
        raise _absent(name, alias, version)
    place = urlsplit(str(row[0]))
    if place.scheme not in ("", "file"):
        raise _Elsewhere
    return _found(name, version, Path(url2pathname(place.path)) / ARTIFACTS / MODEL)


def _through_mlflow(
    tracking: TrackingParams,
    root: Path,
    name: str,
    alias: str | None,
    version: str | None,
    target: Path,
) -> Found:
    """Ask MLflow, and bring the classifier's files to `target`."""
    store = open_existing(tracking, root)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with named_errors(store.uri), quiet():
        try:
            if alias:
                version = str(store.client.get_model_version_by_alias(name, alias).version)
            assert version is not None
            source = store.client.get_model_version_download_uri(name, version)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise _absent(name, alias, version) from error
        place = urlsplit(source)
        if place.scheme in ("", "file"):
            return _found(name, version, Path(url2pathname(place.path)) / ARTIFACTS / MODEL)
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        listed = get_artifact_repository(source, tracking_uri=store.uri).list_artifacts(ARTIFACTS)
        here = {MODEL, *({REFERENCE} & {entry.path.rpartition("/")[2] for entry in listed})}
        for part in sorted(here):
            download_artifacts(
                f"{source.rstrip('/')}/{ARTIFACTS}/{part}",
                dst_path=str(target),
                tracking_uri=store.uri,
            )
    return _found(name, version, target / MODEL)


def _found(name: str, version: str, folder: Path) -> Found:
    if not folder.is_dir():
        raise InputError(
            f"version {version} of {name}: its files are gone (expected {folder}). Restore them, "
            "or register again: dvc repro --force --single-item register"
        )
    return Found(name, version, folder)


def _absent(name: str, alias: str | None, version: str | None) -> InputError:
    if alias == CHAMPION:
        return InputError(
            f"there is no champion of {name} yet: make run trains and registers one (genre models "
            "lists what is registered)"
        )
    what = f"alias {alias}" if alias else f"version {version}"
    return InputError(f"{name} has no {what}; genre models lists what is registered")
