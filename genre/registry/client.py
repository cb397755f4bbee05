"""Open the MLflow store of the project.

`tracking.uri` is `sqlite:///…` or the address of an MLflow server. A relative SQLite path belongs
to the main checkout, which DVC names in `DVC_ROOT`, so that experiments in temporary folders are
recorded in the same store. Artifacts of a SQLite store are in `artifacts/` beside the database.

Writers of one checkout hold a lock (`Store.writing`). Other machines may write to a server at the
same time: artifacts, version and alias are written in this order, so that no alias names a version
without files.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from genre.core.errors import InputError, ParameterError, UnusableStoreError
from genre.core.files import atomic_path
from genre.core.messages import command
from genre.core.params import TrackingParams
from genre.core.urls import has_password, redact
from genre.registry.errors import SQLITE, or_exists, store_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

SERVERS = ("http", "https", "postgresql", "mysql", "mssql", "databricks")
DEFAULT_STORE = "sqlite:///mlruns/mlflow.db"
ARTIFACTS, LOCK = "artifacts", "registry.lock"
LOCK_MESSAGE_SECONDS = 1.0  # of waiting for the lock before a message is printed

# Read by MLflow when it is imported. Values that are set in the environment take precedence.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # package.requirements, not those of a lock file nearby
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # seconds, not minutes, if the server is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Store:
    """An opened store: its resolved `uri`, MLflow's client, and the folder of its lock.

    For SQLite, `folder` is that of the database.
    """

    uri: str
    client: MlflowClient
    folder: Path

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Silence MLflow, and raise its errors as `RegistryError` with a remedy."""
        with store_errors(self.uri):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """As `reading`, while other writers of this checkout wait."""
        with store_errors(self.uri), _locked(self.folder):
            yield


def retry_once(call: Callable[..., None], *arguments: Any, **options: Any) -> None:
    """Call a method of MLflow's client, a second time if the first fails with BAD_REQUEST.

    A server does so if another machine adds the same row (an alias, a dataset) at the same time.
    """
    from mlflow.exceptions import MlflowException

    try:
        call(*arguments, **options)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        call(*arguments, **options)


def configure() -> None:
    """Set MLflow's environment variables; call before it is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def resolve_uri(uri: str, root: Path) -> str:
    """`tracking.uri` with a relative SQLite path anchored to the main checkout.

    Raises `ParameterError` for a file store, which MLflow no longer supports, and for an address
    with a password.
    """
    path = uri.removeprefix(SQLITE)
    if uri.startswith(SQLITE) and path not in ("", ":memory:"):
        return f"{SQLITE}{_checkout(root) / path}"
    if has_password(uri):
        raise ParameterError(
            f"tracking.uri is {redact(uri)!r} and contains a password, which would be stored with "
            "every run: set it in the environment, to an MLflow server as "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, to a database in the variable "
            "of its client (PGPASSWORD)"
        )
    if urlsplit(uri).scheme.split("+")[0] in SERVERS:
        return uri
    raise ParameterError(
        f"tracking.uri is {redact(uri)!r}: expected a SQLite file or a server, for example "
        f"{DEFAULT_STORE} or http://127.0.0.1:5000 (MLflow no longer supports file stores)"
    )


def open_store(tracking: TrackingParams, root: Path, *, create: bool = True) -> Store:
    """Open the store of `tracking.uri`; a SQLite store is created if there is none.

    With `create=False` nothing is written, not even a lock, and `InputError` is raised if there is
    no store. Raises `RegistryError` if it cannot be reached or is damaged.
    """
    uri = resolve_uri(tracking.uri, root)
    configure()
    if not uri.startswith(SQLITE):
        folder = _checkout(root) / "mlruns"
    else:
        path = Path(uri.removeprefix(SQLITE))
        folder = path.parent
        if not _exists(uri, path):
            if not create:
                raise InputError(
                    f"{path}: there is no MLflow store yet, and so no champion: make run trains "
                    "and registers a model"
                )
            with store_errors(uri), _locked(folder):
                if not _exists(uri, path):
                    _create(path)
    with store_errors(uri):
        from mlflow import MlflowClient

        return Store(uri, MlflowClient(tracking_uri=uri, registry_uri=uri), folder)


def open_experiment(store: Store, name: str) -> Experiment:
    """MLflow's experiment `name`, created if it is missing.

    Raises `UnusableStoreError` if it was deleted in MLflow.
    """
    location = (store.folder / ARTIFACTS).as_uri() if store.uri.startswith(SQLITE) else None
    with store.writing():
        if store.client.get_experiment_by_name(name) is None:
            with or_exists():
                store.client.create_experiment(name, artifact_location=location)
        experiment = store.client.get_experiment_by_name(name)
        assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        restore = command(
            f"mlflow experiments restore -x {experiment.experiment_id}",
            MLFLOW_TRACKING_URI=redact(store.uri),
        )
        raise UnusableStoreError(
            f"{redact(store.uri)}: the experiment {name!r} was deleted in MLflow. Restore it: "
            f"{restore}; or choose another tracking.experiment in params.yaml"
        )
    return experiment


def moved_store_remedy(store: Store, location: str) -> str | None:
    """A remedy if a SQLite store was moved or copied away from its artifacts; else None.

    MLflow stores the absolute path `location`. The commands of this project find the artifacts
    beside the database; MLflow does not, and would write new ones to the old path.
    """
    if not store.uri.startswith(SQLITE) or urlsplit(location).scheme not in ("", "file"):
        return None
    here, there = store.folder / ARTIFACTS, Path(url2pathname(urlsplit(location).path))
    if here.absolute() == there or (there.exists() and here.exists() and here.samefile(there)):
        return None
    new, old = quote(str(store.folder)), quote(str(there.parent))
    return (
        f"{store.uri}: MLflow stores absolute paths and expects its files in {there}, found "
        f"{here}. A project that was moved: mkdir -p {quote(str(there.parents[1]))} && "
        f"ln -s {new} {old}; "
        f"a copy, which needs a store of its own: mv {new} {new}.old && make run"
    )


def _exists(uri: str, path: Path) -> bool:
    """Whether there is a database; raises `RegistryError` if it is not MLflow's."""
    with store_errors(uri):
        if not path.exists() or not path.stat().st_size:
            return False
        # mode=rw, so that SQLite can roll back the journal of a killed process.
        address = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if tables and "alembic_version" not in tables:
            raise sqlite3.DatabaseError("file is not a database of MLflow")
        return bool(tables)


def _create(path: Path) -> None:
    """Create MLflow's database in a temporary file, and rename it to `path` when it is complete.

    MLflow commits some four hundred migrations one by one: a kill between two of them would leave
    an unusable database. Without waiting for the disk after each, it takes a fraction of the time.
    """
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def without_sync(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    with atomic_path(path) as temporary:
        event.listen(Engine, "connect", without_sync)
        try:
            uri = f"{SQLITE}{temporary}"
            MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
        finally:
            event.remove(Engine, "connect", without_sync)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the store in `folder`; the system releases it if the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=LOCK_MESSAGE_SECONDS)
    except Timeout:
        print("waiting for another process that writes to the MLflow store", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _checkout(root: Path) -> Path:
    """The main checkout: `DVC_ROOT` if DVC set it, else `root`."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()
