"""A name leads to the champion of today, and to files that are as registered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interrupted_commit import kill_in_a_commit
from registry_project import Project, registered
from test_registry_aliases import obey_permissions

from genre.classifier import Classifier
from genre.cli import main
from genre.core.errors import InputError
from genre.registry import lookup

CHAMPION = "models:/music-genre@champion"
CHECKOUT = Path(__file__).parent.parent
LOOK_UP = f"""
import os, sys
from pathlib import Path
from genre.core.errors import InputError
from genre.core.params import load_params
from genre.registry import lookup
assert not os.access("mlruns/mlflow.db", os.W_OK)
try:
    with lookup.find({CHAMPION!r}, load_params("params.yaml").tracking, Path()) as found:
        print(found.version)
except InputError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def project() -> Project:
    """A project with two versions, of which the second is champion."""
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        os.environ.pop(variable, None)
    return registered(("blues", "jazz"), ())


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Project:
    """A project whose database may be changed; the model's files are those of `project`."""
    (tmp_path / "mlruns").mkdir()
    shutil.copyfile(project.root / "mlruns/mlflow.db", tmp_path / "mlruns/mlflow.db")
    shutil.copyfile(project.root / "params.yaml", tmp_path / "params.yaml")
    return Project(tmp_path, project.params)


@pytest.fixture
def read_only(copy: Project) -> Iterator[Callable[[], subprocess.CompletedProcess[str]]]:
    """Looks the champion up, in a process that may not write to the store."""
    folder = copy.root / "mlruns"

    def look_up() -> subprocess.CompletedProcess[str]:
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        return subprocess.run(
            [sys.executable, "-c", LOOK_UP],
            cwd=copy.root,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            preexec_fn=obey_permissions,
            capture_output=True,
            text=True,
            check=False,
        )

    yield look_up
    folder.chmod(0o755)


def find(project: Project, uri: str = CHAMPION) -> tuple[str, set[str]]:
    """The version that is found, and the genres of its classifier."""
    with lookup.find(uri, project.params.tracking, project.root) as found:
        assert found.name == "music-genre"
        return found.version, set(Classifier.from_folder(found.folder).classes)


def test_the_champion_is_found_and_can_be_loaded(project: Project) -> None:
    assert find(project) == ("2", {"blues", "jazz", "rock"})


def test_a_version_is_found_by_its_number(project: Project) -> None:
    assert find(project, "models:/music-genre/1")[0] == "1"
    assert find(project, "models:/music-genre@previous")[0] == "1"


def test_an_alias_that_was_moved_is_followed(copy: Project) -> None:
    assert find(copy)[0] == "2"

    copy.store.client.set_registered_model_alias("music-genre", "champion", "1")

    assert find(copy)[0] == "1"


def test_a_version_that_was_deleted_is_not_found(copy: Project) -> None:
    copy.store.client.delete_registered_model_alias("music-genre", "previous")
    copy.store.client.delete_model_version("music-genre", "1")

    with pytest.raises(InputError, match="music-genre has no version 1"):
        find(copy, "models:/music-genre/1")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/music-genre@nobody", "music-genre has no alias nobody"),
        ("models:/music-genre/99", "music-genre has no version 99"),
        ("models:/other@champion", "other has no alias champion.*make run"),
        ("models:/music-genre", "expected models:/NAME@ALIAS"),
        ("runs:/1234/model", "expected models:/NAME@ALIAS"),
    ],
)
def test_what_is_not_registered_is_reported(project: Project, uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find(project, uri)


def test_a_commit_that_was_killed_is_undone_and_the_champion_before_it_found(
    copy: Project,
) -> None:
    database = copy.root / "mlruns/mlflow.db"
    before = database.read_bytes()
    journal = kill_in_a_commit(database)

    assert find(copy)[0] == "2"

    assert database.read_bytes() == before
    assert not journal.exists()


@pytest.mark.slow
def test_a_killed_commit_in_a_read_only_store_is_distinguished_from_a_damaged_database(
    copy: Project, read_only: Callable[[], subprocess.CompletedProcess[str]]
) -> None:
    kill_in_a_commit(copy.root / "mlruns/mlflow.db")

    done = read_only()

    assert (done.returncode, done.stdout) == (1, "")
    assert "that you may write to it" in done.stderr


def test_versions_without_a_champion_are_listed_with_the_command_to_promote_one(
    copy: Project,
) -> None:
    copy.store.client.delete_registered_model_alias("music-genre", "champion")

    with pytest.raises(InputError, match=r"has no alias champion.*genre promote VERSION"):
        find(copy)


def test_genre_classify_outside_a_project_is_refused_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--root", str(tmp_path), "classify", "song.wav"])

    assert ended.value.code == 2
    assert "is not the project's folder" in capsys.readouterr().err


def test_genre_classify_without_a_champion_ends_with_code_2(
    copy: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy.root / "mlruns/mlflow.db").unlink()

    with pytest.raises(SystemExit) as ended:
        main(["--root", str(copy.root), "classify", "song.wav"])

    assert ended.value.code == 2
    assert "there is no MLflow store yet, and so no champion" in capsys.readouterr().err
