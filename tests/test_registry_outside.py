"""What MLflow and people who use it do to a registered version never makes a command refuse it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from registry_project import Project, registered, restored
from songs import tone, write

from genre.cli import main
from genre.registry import aliases, lookup
from genre.registry.registration import COMPARISON
from tasks import register

NAME = "music-genre"
CHAMPION = f"models:/{NAME}@champion"
OURS = ("metrics_sha256", "protocol", "decision", "reason", "promoted_at")


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with two versions; the second is champion, the first previous."""
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    with restored(registered(("blues", "jazz"), ())) as project:
        yield project


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("song") / "song.wav", tone(4))


def genre(capsys: pytest.CaptureFixture[str], project: Project, *words: object) -> str:
    """The output of a command, which must succeed."""
    with pytest.raises(SystemExit) as ended:
        main(["--root", str(project.root), *map(str, words)])
    captured = capsys.readouterr()
    assert ended.value.code == 0, captured.err
    return captured.out


def all_is_well(
    capsys: pytest.CaptureFixture[str], project: Project, song: Path, champion: str = "2"
) -> None:
    """Every command works with the champion, and nothing is registered again."""
    before = len(aliases.all_versions(project.store, NAME))
    (prediction,) = json.loads(genre(capsys, project, "classify", "--json", song))
    rows = json.loads(genre(capsys, project, "models", "--json"))
    assert prediction["model_version"] == champion
    assert f"version {champion}: " in genre(capsys, project, "check")
    assert [row["version"] for row in rows if "champion" in row["aliases"]] == [champion]
    register.run(project.params, project.root)
    assert register.run(project.params, project.root).startswith("unchanged: ")
    assert project.receipt["warning"] is None
    assert project.receipt["champion"] == champion
    assert len(aliases.all_versions(project.store, NAME)) == before


def with_mlflow(project: Project, code: str) -> str:
    """Run Python code that uses MLflow and not this project."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import mlflow\n{code}"],
        cwd=project.root.parent,
        env={**os.environ, "MLFLOW_TRACKING_URI": project.store.uri},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOOK_UPS = {
    "an alias": f"mlflow.pyfunc.load_model('{CHAMPION}')",
    "a version": f"mlflow.pyfunc.load_model('models:/{NAME}/2')",
    "a logged model": "mlflow.pyfunc.load_model('models:/{model_id}')",
    "a run": f"mlflow.pyfunc.load_model('runs:/{{run_id}}/{NAME}')",
    "a download": f"mlflow.artifacts.download_artifacts('{CHAMPION}')",
    "a download by its place": "mlflow.artifacts.download_artifacts('{source}')",
    "dependencies": f"mlflow.pyfunc.get_model_dependencies('{CHAMPION}')",
    "its description": f"mlflow.models.get_model_info('{CHAMPION}')",
    "its file MLmodel": f"mlflow.models.Model.load('{CHAMPION}')",
    "its example": f"mlflow.pyfunc.load_model('{CHAMPION}').input_example",
}


@pytest.mark.slow
def test_no_look_up_of_mlflows_harms_the_version(
    project: Project, song: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = project.receipt
    source = project.store.client.get_model_version(NAME, "2").source
    code = "\n".join(LOOK_UPS.values()).format(
        model_id=receipt["model_id"], run_id=receipt["run_id"], source=source
    )

    with_mlflow(project, code)

    place = project.root / "mlruns/artifacts/models" / receipt["model_id"] / "artifacts"
    assert (place / "registered_model_meta").is_file()  # what MLflow does today
    all_is_well(capsys, project, song)


@pytest.mark.slow
def test_a_prediction_of_mlflows_command_does_not_harm_the_version(
    project: Project, song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = tmp_path / "question.csv"
    question.write_text(f"path\n{song}\n")
    words = ["-m", CHAMPION, "--env-manager", "local", "-i", str(question), "-t", "csv"]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "models", "predict", *words, "-o", str(tmp_path / "out")],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": project.store.uri},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    all_is_well(capsys, project, song)


def edit_texts(project: Project) -> None:
    client = project.store.client
    client.update_registered_model(NAME, "what it is")
    client.update_model_version(NAME, "2", "the best so far")
    client.set_registered_model_tag(NAME, "team", "music")
    client.set_model_version_tag(NAME, "2", "reviewed", "yes")
    client.set_registered_model_alias(NAME, "production", "2")


def delete_our_tags(project: Project) -> None:
    client = project.store.client
    for key in (*OURS, COMPARISON):
        client.delete_model_version_tag(NAME, "2", key)


def overwrite_our_tags(project: Project) -> None:
    for key in ("accuracy", COMPARISON, "decision", "genres", "promoted_at", "reason"):
        project.store.client.set_model_version_tag(NAME, "2", key, "rubbish")


def copy_version(project: Project) -> None:
    store = project.store
    with store.reading():
        store.client.copy_model_version(f"models:/{NAME}/2", NAME)
        store.client.copy_model_version(f"models:/{NAME}/2", "music-genre-production")


def delete_previous(project: Project) -> None:
    project.store.client.delete_model_version(NAME, "1")


def delete_run(project: Project) -> None:
    project.store.client.delete_run(project.receipt["run_id"])


def delete_receipt(project: Project) -> None:
    (project.root / "mlruns/registered.json").unlink()


CHANGES: list[Callable[[Project], None]] = [
    edit_texts, delete_our_tags, overwrite_our_tags, copy_version, delete_previous, delete_run,
    delete_receipt,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_in_mlflow_does_not_harm_the_version(
    project: Project, song: Path, capsys: pytest.CaptureFixture[str], change: Callable[..., None]
) -> None:
    change(project)

    all_is_well(capsys, project, song)
    if change is copy_version:
        copied = genre(
            capsys, project, "classify", "--model", "models:/music-genre-production/1", song
        )
        assert copied


def test_a_champion_chosen_in_mlflow_is_respected(
    project: Project, song: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.store.client.set_registered_model_alias(NAME, "champion", "1")

    all_is_well(capsys, project, song, champion="1")
    assert genre(capsys, project, "rollback").startswith("music-genre: version 2 is champion")
    assert project.aliases == {"champion": "2", "previous": "1"}


def delete_champion(project: Project) -> None:
    project.store.client.delete_model_version(NAME, "2")


def rename_model(project: Project) -> None:
    project.store.client.rename_registered_model(NAME, "old-name")


def delete_champion_and_its_files(project: Project) -> None:
    client = project.store.client
    client.delete_logged_model(project.receipt["model_id"])
    client.delete_model_version(NAME, "2")


@pytest.mark.parametrize(
    ("change", "version"),
    [(delete_champion, "3"), (delete_champion_and_its_files, "3"), (rename_model, "1")],
)
def test_a_champion_that_mlflow_no_longer_has_under_this_name_is_registered_again(
    project: Project,
    song: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Project], None],
    version: str,
) -> None:
    change(project)

    summary = register.run(project.params, project.root)

    assert summary == f"music-genre version {version}: champion (there was no champion)"
    all_is_well(capsys, project, song, champion=version)


@pytest.mark.slow
def test_a_champion_whose_checksums_were_deleted_is_registered_anew_and_never_replaced_silently(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.store.client.delete_model_version_tag(NAME, "2", lookup.FILES)

    summary = register.run(project.params, project.root)

    assert summary.startswith("music-genre version 3: challenger (it cannot be compared")
    assert "it was not registered by this pipeline" in summary
    assert "genre promote 3" in capsys.readouterr().err
    assert project.aliases == {"champion": "2", "previous": "1", "challenger": "3"}


def test_without_a_champion_the_step_warns_and_promotes_none(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.store.client.delete_registered_model_alias(NAME, "champion")

    register.run(project.params, project.root)

    warning = capsys.readouterr().err
    assert "music-genre has versions and no champion" in warning
    assert "genre promote 2" in warning
    assert "champion" not in project.aliases
    assert project.receipt["warning"] in warning
    assert genre(capsys, project, "rollback") == "music-genre: version 2 is champion\n"


def test_in_a_moved_project_the_commands_work_and_a_warning_has_the_remedy_for_mlflow(
    project: Project, song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(project.root, tmp_path / "here")
    place = next((tmp_path / "here/mlruns/artifacts/models").iterdir())
    assert place.is_dir()
    moved = Project(tmp_path / "here", project.params)

    summary = register.run(moved.params, moved.root)

    assert summary.startswith("unchanged: ")
    assert "MLflow stores absolute paths" in moved.receipt["warning"]
    (prediction,) = json.loads(genre(capsys, moved, "classify", "--json", song))
    assert prediction["model_version"] == "2"
    assert genre(capsys, moved, "check")
