"""The step records everything, registers once, and finishes what a kill left unfinished."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_project import (
    GENRES,
    Project,
    make_project,
    migrated_store,
    registered,
    restored,
    write_model,
    write_reports,
)

from genre.core.errors import InputError
from genre.registry import aliases, history, models, promote, record, registration, rollback
from tasks import register

NAME = "music-genre"
CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A finished pipeline whose model confuses blues and jazz."""
    return make_project(tmp_path / "project", confused=("blues", "jazz"))


@pytest.fixture
def once() -> Iterator[Project]:
    """That pipeline, whose model is registered and champion."""
    with restored(registered(("blues", "jazz"))) as project:
        yield project


def run(project: Project) -> dict[str, Any]:
    """Run the step; return the receipt."""
    register.run(project.params, project.root)
    return project.receipt


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_the_run_holds_everything_that_the_pipeline_left(project: Project) -> None:
    write_model(project.root, GENRES, name="other", seed=1)
    write_reports(project.root, models=("mlp", "other"))
    (project.root / "dvc.lock").write_text("schema: '2.0'\n")

    receipt = run(project)

    client = project.store.client
    record = client.get_run(receipt["run_id"])
    assert record.info.status == "FINISHED"
    assert record.data.params["train.mlp.hidden"] == "[512, 256, 128, 64]"
    assert record.data.params["tracking.uri"] == "sqlite:///mlruns/mlflow.db"
    assert record.data.metrics["validation_song/accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    low, high = (record.data.metrics[f"test_song/accuracy_{end}"] for end in ("low", "high"))
    assert (low, high) == (0, 1)
    assert record.data.metrics["catalogue/set_aside"] == 1
    assert record.data.tags["protocol"] == "song"
    assert {file.path for file in client.list_artifacts(receipt["run_id"])} == {
        "catalogue.json",
        "dvc.lock",
        "figures",
        "metrics.json",
        "model_card.md",
        "params.yaml",
    }
    parent = f"tags.`mlflow.parentRunId` = '{receipt['run_id']}'"
    runs = client.search_runs([record.info.experiment_id], parent)
    nested = {found.info.run_name: found for found in runs}
    assert set(nested) == {"mlp", "other"}
    assert nested["other"].data.tags["selected"] == "false"
    assert nested["other"].data.metrics["validation_song/accuracy"] == 1
    assert nested["other"].data.params["dropout"] == "0.2"
    curve = client.get_metric_history(nested["other"].info.run_id, "epochs/train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]


def test_registering_again_makes_no_second_version_and_the_same_receipt(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    first = register.run(project.params, project.root)
    content = (project.root / "mlruns/registered.json").read_bytes()
    (project.root / "mlruns/registered.json").unlink()

    second = register.run(project.params, project.root)

    assert first == "music-genre version 1: champion (there was no champion)"
    assert second == f"unchanged: {first}"
    assert capfd.readouterr() == ("", "")
    assert (project.root / "mlruns/registered.json").read_bytes() == content
    assert [row["version"] for row in models(project.params, project.root)] == ["1"]


@pytest.mark.slow
def test_new_scores_of_the_same_model_are_a_run_and_no_version(once: Project) -> None:
    first = once.receipt
    path = once.root / "reports/metrics.json"
    path.write_text(path.read_text() + "\n")

    receipt = run(once)

    assert receipt["version"] == first["version"]
    assert receipt["run_id"] != first["run_id"]
    assert run(once) == receipt


def test_an_experiment_is_recorded_once_and_moves_nothing_until_it_is_applied(
    once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    once.retrain()
    with monkeypatch.context() as patch:
        patch.setenv("DVC_EXP_NAME", "loud-cat")
        receipt = run(once)
        again = run(once)

    assert (receipt["version"], receipt["decision"]) == (None, "recorded")
    assert receipt["experiment"] == "loud-cat"
    assert "experiments are recorded, never promoted" in receipt["reason"]
    assert again == receipt
    assert once.aliases == {"champion": "1"}
    client = once.store.client
    assert client.get_run(receipt["run_id"]).info.run_name == "loud-cat"
    assert client.get_logged_model(receipt["model_id"]).status == "READY"

    applied = run(once)

    assert (applied["version"], applied["aliases"]) == ("2", ["champion"])
    assert applied["reason"].startswith("better: ")


@pytest.mark.slow
def test_an_experiment_records_in_the_main_checkout_and_leaves_its_receipt_where_it_runs(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_project(tmp_path / "experiment")
    (other.root / "mlruns/mlflow.db").unlink()
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    monkeypatch.setenv("DVC_EXP_NAME", "loud-cat")

    receipt = run(other)

    assert not (other.root / "mlruns/mlflow.db").exists()
    assert not (project.root / "mlruns/registered.json").exists()
    assert project.store.client.get_run(receipt["run_id"]).info.status == "FINISHED"


@pytest.mark.slow
def test_another_store_gets_a_registration_of_its_own(once: Project) -> None:
    first = once.receipt
    once.retrain()
    run(once)
    shutil.copyfile(migrated_store(), once.root / "other.db")
    tracking = once.params.tracking.model_copy(update={"uri": "sqlite:///other.db"})
    once.params = once.params.model_copy(update={"tracking": tracking})

    receipt = run(once)

    assert (receipt["version"], receipt["aliases"]) == ("1", ["champion"])
    assert receipt["run_id"] != first["run_id"]


@pytest.mark.slow
def test_a_deleted_store_is_created_and_registered_in_again(project: Project) -> None:
    first = run(project)
    shutil.rmtree(project.root / "mlruns")

    done = subprocess.run(
        [sys.executable, "-m", "tasks.register"],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "DVC_ROOT": str(project.root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "music-genre version 1: champion (there was no champion)\n"
    assert project.receipt["run_id"] != first["run_id"]


WRITES = {
    "version": (registration, "_create"),
    "decision": (registration, "_decide"),
    "aliases": (aliases, "make_champion"),
    "tags": ("mlflow.MlflowClient", "set_model_version_tag"),
}


@pytest.mark.parametrize(
    "write", ["tags", *(pytest.param(name, marks=pytest.mark.slow) for name in list(WRITES)[:3])]
)
def test_killed_at_any_write_the_next_run_finishes_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    place, name = WRITES[write]
    with monkeypatch.context() as patch:
        if isinstance(place, str):
            patch.setattr(f"{place}.{name}", killed)
        else:
            patch.setattr(place, name, killed)
        with pytest.raises(KeyboardInterrupt):
            run(project)
    assert not (project.root / "mlruns/registered.json").exists()
    assert "champion" not in project.aliases

    receipt = run(project)

    assert (receipt["version"], receipt["aliases"]) == ("1", ["champion"])
    assert receipt["reason"] == "there was no champion"
    client = project.store.client
    experiment = client.get_run(receipt["run_id"]).info.experiment_id
    parents = client.search_runs([experiment], "tags.role = 'pipeline'")
    assert [found.info.run_id for found in parents] == [receipt["run_id"]]


@pytest.mark.parametrize(
    "tag", [aliases.PROMOTED_AT, pytest.param(aliases.DECISION, marks=pytest.mark.slow)]
)
def test_killed_between_the_alias_and_its_tags_the_next_run_adds_them(
    project: Project, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    client = type(project.store.client)
    real = client.set_model_version_tag

    def set_tag(self: Any, name: str, version: str, key: str, value: str) -> None:
        if key == tag:
            raise KeyboardInterrupt
        real(self, name, version, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(client, "set_model_version_tag", set_tag)
        with pytest.raises(KeyboardInterrupt):
            run(project)
    assert project.aliases == {"champion": "1"}

    receipt = run(project)

    assert (receipt["decision"], receipt["reason"]) == ("champion", "there was no champion")
    (change,) = history(project.params, project.root)
    assert (change["version"], change["reason"]) == ("1", "there was no champion")
    assert run(project) == receipt


@pytest.mark.slow
def test_a_version_that_was_promoted_manually_before_the_gate_decided_stays_champion(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(registration, "_decide", killed)
        with pytest.raises(KeyboardInterrupt):
            run(project)
    promote(project.params, project.root, "1", "it is fine")

    assert register.run(project.params, project.root) == (
        "unchanged: music-genre version 1: champion (it is fine)"
    )


@pytest.mark.slow
def test_after_a_rollback_registering_the_same_again_moves_nothing(once: Project) -> None:
    once.retrain()
    run(once)
    rollback(once.params, once.root, "sounds worse")

    assert register.run(once.params, once.root).startswith("unchanged: ")
    assert once.aliases == {"champion": "1", "previous": "2"}


def test_a_run_that_was_killed_half_way_is_marked_and_gets_no_version(project: Project) -> None:
    code = (
        "import os\n"
        "from genre.registry import record\n"
        "from tasks.register import main\n"
        "record._log_model = lambda *_: os.kill(os.getpid(), 9)\n"
        "main()\n"
    )
    project.run_code(code)
    client = project.store.client
    experiment = client.get_experiment_by_name(NAME).experiment_id
    (left,) = client.search_runs([experiment], "attributes.status = 'RUNNING'")

    run(project)

    assert client.get_run(left.info.run_id).info.status == "KILLED"
    assert client.search_runs([experiment], "attributes.status = 'RUNNING'") == []
    assert len(models(project.params, project.root)) == 1


def test_a_registration_that_fails_leaves_a_failed_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no such model")

    monkeypatch.setattr(record, "_log_model", fail)
    with pytest.raises(ValueError, match="no such model"):
        run(project)

    client = project.store.client
    experiment = client.get_experiment_by_name(NAME).experiment_id
    (failed,) = client.search_runs([experiment], "tags.role = 'pipeline'")
    assert failed.info.status == "FAILED"


def test_a_pipeline_that_has_not_finished_is_bad_input(project: Project) -> None:
    (project.root / "reports/metrics.json").unlink()

    with pytest.raises(InputError, match=r"metrics\.json: no such file; type make run"):
        run(project)
