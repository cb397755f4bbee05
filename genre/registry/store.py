"""The MLflow store: where it is, how it is opened, who may write.

`tracking.uri` is `sqlite:///…` or the address of an MLflow server. A relative SQLite path belongs
to the main checkout: DVC names it in `DVC_ROOT` for every stage, temporary experiment folders
included. Artifacts of a SQLite store lie in `artifacts/` beside the database. MLflow is imported
only here and in what needs an opened store, after its settings.

Writers of a SQLite store take turns by a lock beside it. A server's writers may be on any machine,
where no lock of ours reaches; the lock then only keeps those of this checkout apart. What holds on
a server too, because artifacts, version and alias are written in this order and the server refuses
an alias to no version: every version has its artifacts, every alias a version. What a lock would
add is done by looking again: a decision counts only if the champion it was taken against is still
champion (`genre.registry.registration`); of two changes in the same instant, the later one stays.
"""

from __future__ import annotations

import gc
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from genre.addresses import has_password, hidden
from genre.errors import InputError, ParameterError, UnusableStoreError
from genre.hints import command
from genre.params import TrackingParams
from genre.registry import database
from genre.registry.database import SQLITE, file_of
from genre.registry.faults import named, named_errors, quiet
from genre.registry.locks import locked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

SERVERS = ("http", "https", "postgresql", "mysql", "mssql", "databricks")
ARTIFACTS = "artifacts"
STORE_FOLDER = "mlruns"
DEFAULT_STORE = "sqlite:///mlruns/mlflow.db"

# Read by MLflow at import. A person's own values win.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # requirements are ours, not those of a lock file nearby
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # seconds, not minutes, for a server that is not there
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Store:
    """An opened store: its resolved `uri`, and MLflow's client of it.

    `folder` holds our lock; for SQLite it is the database's own.
    """

    uri: str
    client: MlflowClient
    folder: Path


def configure() -> None:
    """Give MLflow its settings; call before it is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def home(root: Path) -> Path:
    """The main checkout: `DVC_ROOT` where DVC set it, else `root`."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()


def resolve_uri(uri: str, root: Path) -> str:
    """`tracking.uri` with a relative SQLite path anchored to the main checkout.

    Raises `ParameterError` for a plain file store, which MLflow no longer keeps, and for an address
    with a password.
    """
    if uri.startswith(SQLITE):
        path = uri.removeprefix(SQLITE)
        if not path or path == ":memory:":
            raise ParameterError(
                f"tracking.uri is {uri!r}: expected a file, for example {DEFAULT_STORE}"
            )
        return f"{SQLITE}{home(root) / path}"
    if has_password(uri):
        raise ParameterError(
            f"tracking.uri is {hidden(uri)!r} and names a password, which would be kept with every "
            "run: give it in the environment, to an MLflow server as MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, to a database as its own client reads it (PGPASSWORD)"
        )
    if urlsplit(uri).scheme.split("+")[0] in SERVERS:
        return uri
    raise ParameterError(
        f"tracking.uri is {hidden(uri)!r}: expected a SQLite file or a server, for example "
        f"{DEFAULT_STORE} or http://127.0.0.1:5000 (MLflow keeps no plain file store any more)"
    )


def open_store(tracking: TrackingParams, root: Path) -> Store:
    """Open the store of `tracking.uri`, making a SQLite one where there is none.

    Raises `RegistryError` where it cannot be reached or is damaged.
    """
    uri = resolve_uri(tracking.uri, root)
    folder = _folder(uri, root)
    if uri.startswith(SQLITE):
        _look_at(uri)
    configure()
    with _paused_collection(), named_errors(uri):
        from mlflow import MlflowClient

        # One process at a time, for MLflow migrates an older database at its first use.
        with locked(folder), quiet():
            if uri.startswith(SQLITE) and not database.has_content(file_of(uri)):
                database.create(file_of(uri))
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
    return Store(uri, client, folder)


def open_existing(tracking: TrackingParams, root: Path) -> Store:
    """Open the store of `tracking.uri` for reading: neither a file nor a lock is made.

    Raises `InputError` if there is no store yet, and as `open_store` does.
    """
    uri = resolve_uri(tracking.uri, root)
    if uri.startswith(SQLITE) and not _look_at(uri):
        raise InputError(
            f"{file_of(uri)}: there is no MLflow store yet, and so no champion: make run trains "
            "and registers a model"
        )
    configure()
    with _paused_collection(), named_errors(uri):
        from mlflow import MlflowClient

        with quiet():
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return Store(uri, client, _folder(uri, root))


def open_experiment(store: Store, name: str) -> Experiment:
    """MLflow's experiment `name`, made if it is missing.

    Raises `UnusableStoreError` if it was deleted in MLflow.
    """
    location = (store.folder / ARTIFACTS).as_uri() if store.uri.startswith(SQLITE) else None
    with named_errors(store.uri), locked(store.folder), quiet():
        from mlflow.exceptions import MlflowException

        experiment = store.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                store.client.create_experiment(name, artifact_location=location)
            except MlflowException as error:  # on a server, another machine may have made it
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            experiment = store.client.get_experiment_by_name(name)
            assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        restore = command(
            f"mlflow experiments restore -x {experiment.experiment_id}",
            MLFLOW_TRACKING_URI=hidden(store.uri),
        )
        raise UnusableStoreError(
            f"{hidden(store.uri)}: the experiment {name!r} was deleted in MLflow. Restore it: "
            f"{restore}; or choose another tracking.experiment in params.yaml"
        )
    return experiment


def moved(store: Store, location: str) -> str | None:
    """What to do if a SQLite store was moved or copied away from its artifacts at `location`.

    MLflow keeps absolute paths. Commands of this project find the files beside the database;
    MLflow's own clients do not, and would write new ones to the old place.
    """
    if not store.uri.startswith(SQLITE) or urlsplit(location).scheme not in ("", "file"):
        return None
    here, there = store.folder / ARTIFACTS, Path(url2pathname(urlsplit(location).path))
    if here.absolute() == there or (there.exists() and here.exists() and here.samefile(there)):
        return None
    afresh = f"mv {quote(str(store.folder))} {quote(f'{store.folder}.old')} && make run"
    if (there.parent / file_of(store.uri).name).exists():
        return (
            f"{store.uri}: MLflow has its files in {there}, expected {here}: this store is a copy "
            f"of the one there, and would write into it. Start a store of its own: {afresh}"
        )
    old = quote(str(there.parent))
    aside = f"mv {old} {old}.old && " if there.parent.exists() else ""
    link = (
        f"mkdir -p {quote(str(there.parents[1]))} && {aside}ln -s {quote(str(store.folder))} {old}"
    )
    return (
        f"{store.uri}: MLflow has its files in {there}, expected {here}: the project was moved, "
        f"and MLflow keeps absolute paths. Let the old path lead to the new one: {link}; or start "
        f"a new store: {afresh}"
    )


@contextmanager
def _paused_collection() -> Iterator[None]:
    """Pause garbage collection, without which importing MLflow takes a quarter less time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _folder(uri: str, root: Path) -> Path:
    return file_of(uri).parent if uri.startswith(SQLITE) else home(root) / STORE_FOLDER


def _look_at(uri: str) -> bool:
    """Whether there is a database; raises `RegistryError` where it is none of MLflow's."""
    try:
        return database.check(file_of(uri))
    except (OSError, sqlite3.Error) as error:
        raise named(uri, error) from error
