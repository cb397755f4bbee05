"""The MLflow store: where it is, how it is opened, who may write.

`tracking.uri` is `sqlite:///…` or the address of an MLflow server. A relative SQLite path belongs
to the main checkout: DVC names it in `DVC_ROOT` for every stage, temporary experiment folders
included. Artifacts of a SQLite store lie in `artifacts/` beside the database. MLflow is imported
only here and in what needs an opened store, after its settings.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import sqlite3
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from genre.errors import ParameterError, RegistryError
from genre.files import atomic_path, sweep
from genre.params import TrackingParams

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
SERVERS = ("http", "https", "postgresql", "mysql", "mssql", "databricks")
SQLITE_HEADER = b"SQLite format 3\x00"
ARTIFACTS = "artifacts"
LOCK = "registry.lock"
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

    Raises `ParameterError` for a plain file store, which MLflow no longer keeps.
    """
    if uri.startswith(SQLITE):
        path = uri.removeprefix(SQLITE)
        if not path or path == ":memory:":
            raise ParameterError(
                f"tracking.uri is {uri!r}: expected a file, for example {DEFAULT_STORE}"
            )
        return f"{SQLITE}{home(root) / path}"
    if urlsplit(uri).scheme.split("+")[0] in SERVERS:
        return uri
    raise ParameterError(
        f"tracking.uri is {uri!r}: expected a SQLite file or a server, for example "
        f"{DEFAULT_STORE} or http://127.0.0.1:5000 (MLflow keeps no plain file store any more)"
    )


def open_store(tracking: TrackingParams, root: Path) -> Store:
    """Open the store of `tracking.uri`, making a SQLite one where there is none.

    Raises `RegistryError` where it cannot be reached or is damaged.
    """
    uri = resolve_uri(tracking.uri, root)
    folder = home(root) / STORE_FOLDER
    if uri.startswith(SQLITE):
        database = Path(uri.removeprefix(SQLITE))
        folder = database.parent
        _check_database(database)
    configure()
    with named_errors(uri):
        from mlflow import MlflowClient

        # One process at a time, for MLflow migrates an older database at its first use.
        with locked(folder), quiet():
            if uri.startswith(SQLITE) and not _has_content(database):
                _create_database(database)
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
    return Store(uri, client, folder)


def experiment_id(store: Store, name: str) -> str:
    """The id of the experiment `name`, made where it is missing.

    Raises `RegistryError` where it was deleted, or where its artifacts lie elsewhere: MLflow keeps
    absolute paths, so a store that was moved or copied does not find its files.
    """
    location = (store.folder / ARTIFACTS).as_uri() if store.uri.startswith(SQLITE) else None
    with named_errors(store.uri), locked(store.folder), quiet():
        experiment = store.client.get_experiment_by_name(name)
        if experiment is None:
            return store.client.create_experiment(name, artifact_location=location)
    if experiment.lifecycle_stage == "deleted":
        raise RegistryError(
            f"{store.uri}: the experiment {name!r} was deleted; restore it (mlflow experiments "
            f"restore -x {experiment.experiment_id}) or choose another tracking.experiment"
        )
    if location and urlsplit(experiment.artifact_location).scheme in ("", "file"):
        found = experiment.artifact_location.removeprefix("file://")
        if found != location.removeprefix("file://"):
            raise RegistryError(
                f"{store.uri}: its files lie in {found}, expected {store.folder / ARTIFACTS}: the "
                "store was moved or copied, and MLflow keeps absolute paths. Move it back, or "
                f"delete {store.folder} to start a new one"
            )
    return str(experiment.experiment_id)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the store's lock (`fcntl`, so the system lets go of it when a process dies)."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            start = time.monotonic()
            fcntl.flock(handle, fcntl.LOCK_EX)
            waited = time.monotonic() - start
            if waited > 1:
                print(f"waited {waited:.0f} s for another registration", file=sys.stderr)
        yield


@contextmanager
def named_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow, SQLAlchemy and the network raise into `RegistryError` with a remedy."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        text = str(error).strip()
        cause = text.splitlines()[0] if text else type(error).__name__
        raise RegistryError(
            f"tracking.uri {uri}: the MLflow store cannot be used ({cause}). {_remedy(uri)}"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's warnings and its printed lines to itself."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _create_database(path: Path) -> None:
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

    sweep(path)
    with atomic_path(path) as temporary:
        event.listen(Engine, "connect", do_not_wait)
        try:
            uri = f"{SQLITE}{temporary}"
            MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        finally:
            event.remove(Engine, "connect", do_not_wait)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _check_database(path: Path) -> None:
    """Raise `RegistryError` for a file that is no sound SQLite database."""
    try:
        if not _has_content(path):
            return
        with path.open("rb") as handle:
            header = handle.read(len(SQLITE_HEADER))
        if header != SQLITE_HEADER:
            raise sqlite3.DatabaseError("file is not a database")
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except (OSError, sqlite3.Error) as error:
        uri = f"{SQLITE}{path}"
        raise RegistryError(
            f"tracking.uri {uri}: the MLflow store cannot be used ({error}). {_remedy(uri)}"
        ) from error


def _remedy(uri: str) -> str:
    if uri.startswith(SQLITE):
        path = Path(uri.removeprefix(SQLITE))
        return (
            f"Check that {path} can be written and is MLflow's database; if it is damaged, restore "
            "it from a backup or move it away, and the next run registers again"
        )
    return "Check that the server is up and the address is right, then run the step again"
