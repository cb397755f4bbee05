"""The store is found from any folder, and its errors have remedies."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from interrupted_commit import kill_in_a_commit
from registry_project import migrated_store

from genre.core.errors import InputError, ParameterError, RegistryError, UnusableStoreError
from genre.core.params import TrackingParams
from genre.registry import Store, open_store, resolve_uri
from genre.registry.client import moved_store_remedy, open_experiment
from genre.registry.errors import store_errors, to_registry_error

DEFAULT = "sqlite:///mlruns/mlflow.db"


@pytest.fixture(autouse=True)
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)


def tracking(uri: str = DEFAULT) -> TrackingParams:
    return TrackingParams(uri=uri, experiment="music-genre")


def stored(root: Path) -> Store:
    """A project's own store, migrated."""
    (root / "mlruns").mkdir(parents=True)
    shutil.copyfile(migrated_store(), root / "mlruns/mlflow.db")
    return open_store(tracking(), root)


def test_a_relative_sqlite_path_is_in_the_project(tmp_path: Path) -> None:
    assert resolve_uri(DEFAULT, tmp_path) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


def test_in_a_stage_of_dvc_it_is_in_the_main_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))

    assert resolve_uri(DEFAULT, tmp_path / "exp") == f"sqlite:///{tmp_path}/main/mlruns/mlflow.db"


@pytest.mark.parametrize("uri", ["sqlite:////var/store.db", "http://127.0.0.1:5000"])
def test_an_absolute_address_stays_as_it_is(tmp_path: Path, uri: str) -> None:
    assert resolve_uri(uri, tmp_path) == uri


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:mlruns", "sqlite://", "sqlite:///"])
def test_a_file_store_and_a_store_without_a_file_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ParameterError, match=r"tracking\.uri is .*sqlite:///mlruns/mlflow\.db"):
        resolve_uri(uri, tmp_path)


@pytest.mark.slow
def test_artifacts_are_beside_the_database_also_if_a_folder_has_a_space(tmp_path: Path) -> None:
    store = stored(tmp_path / "my music")

    experiment = open_experiment(store, "music-genre")

    place = tmp_path / "my music" / "mlruns" / "artifacts"
    assert experiment.artifact_location == place.as_uri()
    assert open_experiment(store, "music-genre").experiment_id == experiment.experiment_id


def test_a_file_that_is_not_a_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns/mlflow.db").write_text("these are not the tables you are looking for")

    with pytest.raises(RegistryError, match=r"mlruns/mlflow\.db.*not a database.*move it away"):
        open_store(tracking(), tmp_path)


def test_a_database_cut_short_is_named(tmp_path: Path) -> None:
    whole = migrated_store().read_bytes()
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns/mlflow.db").write_bytes(whole[: len(whole) // 3])

    with pytest.raises(RegistryError, match=r"mlruns/mlflow\.db.*cannot be used"):
        open_store(tracking(), tmp_path)


def test_a_server_that_cannot_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    store = open_store(tracking("http://127.0.0.1:9"), tmp_path)

    with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:9.*server is up"):
        open_experiment(store, "music-genre")


def test_a_registry_error_may_be_tried_again() -> None:
    assert not issubclass(RegistryError, InputError)


def test_other_errors_are_not_blamed_on_the_store() -> None:
    with pytest.raises(InputError, match="metrics"), store_errors(DEFAULT):
        raise InputError("metrics.json: no such file")


def test_a_store_that_was_moved_names_the_command_that_lets_mlflow_find_its_files(
    tmp_path: Path,
) -> None:
    location = open_experiment(stored(tmp_path / "be fore"), "music-genre").artifact_location
    (tmp_path / "be fore").rename(tmp_path / "after")
    store = open_store(tracking(), tmp_path / "after")

    problem = moved_store_remedy(store, location) or ""

    assert "MLflow stores absolute paths" in problem
    pasted = problem.partition("that was moved: ")[2].partition("; a copy")[0]
    subprocess.run(pasted, shell=True, check=True)
    (tmp_path / "after/mlruns/artifacts").mkdir(exist_ok=True)
    assert moved_store_remedy(store, location) is None


def test_a_store_that_was_copied_does_not_write_into_the_original(tmp_path: Path) -> None:
    location = open_experiment(stored(tmp_path / "one"), "music-genre").artifact_location
    shutil.copytree(tmp_path / "one", tmp_path / "two")

    problem = moved_store_remedy(open_store(tracking(), tmp_path / "two"), location) or ""

    assert f"mv {tmp_path}/two/mlruns {tmp_path}/two/mlruns.old && make run" in problem


@pytest.mark.slow
def test_a_deleted_experiment_is_named(tmp_path: Path) -> None:
    store = stored(tmp_path)
    number = open_experiment(store, "music-genre").experiment_id
    store.client.delete_experiment(number)

    with pytest.raises(UnusableStoreError, match="was deleted in MLflow") as raised:
        open_experiment(store, "music-genre")

    pasted = str(raised.value).partition("Restore it: ")[2].partition("; or")[0]
    subprocess.run(pasted, shell=True, check=True)
    assert open_experiment(store, "music-genre").experiment_id == number


def test_a_database_that_is_locked_may_be_tried_again() -> None:
    error = to_registry_error("sqlite:///a.db", sqlite3.OperationalError("database is locked"))

    assert not isinstance(error, InputError)
    assert "no other program does" in str(error)


def test_the_lock_excludes_other_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import fcntl, sys\n"
        "try:\n"
        "    fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except BlockingIOError:\n"
        "    sys.exit(3)\n"
    )
    attempt = [sys.executable, "-c", code, str(tmp_path / "mlruns/registry.lock")]

    store = stored(tmp_path)
    with store.writing():
        assert subprocess.run(attempt, check=False).returncode == 3
    assert subprocess.run(attempt, check=False).returncode == 0
    with store.writing():
        pass


@pytest.mark.slow
def test_a_store_that_was_killed_while_it_was_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "search_experiments", killed)
        with pytest.raises(KeyboardInterrupt):
            open_store(tracking(), tmp_path)
    assert not (tmp_path / "mlruns/mlflow.db").exists()

    assert open_experiment(open_store(tracking(), tmp_path), "music-genre")


@pytest.mark.parametrize("create", [True, False])
def test_a_commit_that_was_killed_is_undone_when_the_store_is_opened(
    tmp_path: Path, create: bool
) -> None:
    number = open_experiment(stored(tmp_path), "music-genre").experiment_id
    path = tmp_path / "mlruns/mlflow.db"
    before = path.read_bytes()
    journal = kill_in_a_commit(path)

    store = open_store(tracking(), tmp_path, create=create)

    assert open_experiment(store, "music-genre").experiment_id == number
    assert path.read_bytes() == before
    assert not journal.exists()
