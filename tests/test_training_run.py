"""A training is a run in MLflow, which becomes part of the pipeline's run."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from registry_project import Project, make_project

from genre.models.base import Epoch
from genre.registry import facts, runs
from genre.registry.training import training_run
from tasks import register, train

NAME = "music-genre"
SETTINGS = {"dropout": 0.2, "hidden": [8]}
EPOCHS = [[Epoch(e, s, 1 / e, 0.5) for s in ("train", "validation")] for e in (1, 2)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def train_mlp(project: Project, experiment: str | None = None) -> None:
    with training_run(
        project.params, project.root, "mlp", SETTINGS, experiment=experiment
    ) as record:
        for rows in EPOCHS:
            record.log_epoch(rows)
        record.finish(project.root / "models/mlp")


def found(project: Project, text: str = "tags.role = 'model'") -> list[Run]:
    client = project.store.client
    experiment = client.get_experiment_by_name(NAME)
    return list(client.search_runs([experiment.experiment_id], text))


def losses(project: Project, run: Run) -> list[tuple[int, float]]:
    history = project.store.client.get_metric_history(run.info.run_id, "epochs/validation_loss")
    return [(metric.step, metric.value) for metric in history]


def test_a_finished_training_has_its_settings_and_curves(project: Project) -> None:
    train_mlp(project)

    (run,) = found(project)
    assert (run.info.run_name, run.info.status) == ("mlp", "FINISHED")
    assert run.data.params == {"dropout": "0.2", "hidden": "[8]"}
    assert losses(project, run) == [(1, 1.0), (2, 0.5)]


def test_epochs_are_in_the_store_while_training_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genre.registry.training.FLUSH_SECONDS", 0)
    with training_run(project.params, project.root, "mlp", SETTINGS) as record:
        record.log_epoch(EPOCHS[0])

        (run,) = found(project)
        assert run.info.status == "RUNNING"
        assert losses(project, run) == [(1, 1.0)]


def test_the_run_of_a_training_becomes_a_child_of_the_pipelines_run(project: Project) -> None:
    train_mlp(project)
    register.run(project.params, project.root)

    (run,) = found(project)
    assert run.data.tags["mlflow.parentRunId"] == project.receipt["run_id"]
    assert run.data.tags["selected"] == "true"
    assert run.data.metrics["test_song/accuracy"] == 1.0
    assert losses(project, run) == [(1, 1.0), (2, 0.5)]


def test_a_model_that_was_not_trained_here_gets_a_run_at_registration(project: Project) -> None:
    train_mlp(project)
    project.retrain(seed=1)  # as from DVC's cache: other weights than those of the training
    register.run(project.params, project.root)

    parents = {run.data.tags.get("mlflow.parentRunId") for run in found(project)}
    assert parents == {None, project.receipt["run_id"]}


def test_the_training_of_an_experiment_is_not_taken_for_another(project: Project) -> None:
    train_mlp(project, experiment="bold-idea")
    register.run(project.params, project.root)

    by_experiment = {run.data.tags.get("dvc_experiment"): run for run in found(project)}
    assert set(by_experiment) == {"bold-idea", None}
    assert "mlflow.parentRunId" not in by_experiment["bold-idea"].data.tags


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("the loss is nan"), "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_a_training_that_breaks_off_is_a_failed_or_killed_run(
    project: Project, error: BaseException, status: str
) -> None:
    with (
        pytest.raises((ValueError, KeyboardInterrupt)),
        training_run(project.params, project.root, "mlp", SETTINGS) as record,
    ):
        record.log_epoch(EPOCHS[0])
        raise error

    (run,) = found(project)
    assert run.info.status == status
    assert losses(project, run) == [(1, 1.0)]
    reason = run.data.tags.get("mlflow.note.content")
    assert reason == ("the loss is nan" if status == "FAILED" else None)


def train_until_killed(project: Project) -> None:
    """Start a training in a process that is killed."""
    code = (
        "import os\n"
        "from pathlib import Path\n"
        "from genre.core.params import load_params\n"
        "from genre.registry.training import training_run\n"
        "with training_run(load_params('params.yaml'), Path(), 'lda', {}):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    project.run_code(code)


def test_the_next_training_closes_one_that_was_killed_and_no_living_one(project: Project) -> None:
    train_until_killed(project)
    with training_run(project.params, project.root, "boosting", SETTINGS) as alive:
        train_mlp(project)

        assert {run.info.run_name: run.info.status for run in found(project)} == {
            "lda": "KILLED",
            "boosting": "RUNNING",
            "mlp": "FINISHED",
        }
        alive.finish(project.root / "models/mlp")


@pytest.mark.slow
def test_a_registration_closes_a_training_that_was_killed(project: Project) -> None:
    train_until_killed(project)

    register.run(project.params, project.root)

    (killed,) = found(project, "tags.model = 'lda'")
    assert killed.info.status == "KILLED"


@pytest.mark.parametrize(
    ("process", "alive"),
    [
        ("{pid} {started:.0f} {host}", True),
        ("{pid} {started:.0f} another machine", True),
        ("{pid} 0 {host}", False),  # the number is of another process by now
        ("999999999 0 {host}", False),
        ("", False),
        ("edited", False),
    ],
)
def test_a_process_is_identified_by_number_start_and_machine(process: str, alive: bool) -> None:
    started = psutil.Process().create_time()
    text = process.format(pid=os.getpid(), started=started, host=socket.gethostname())

    assert runs.is_alive(text) is alive


def test_training_works_without_a_usable_store(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "mlruns/mlflow.db").write_bytes(b"no database")

    train_mlp(project)

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: mlp is trained without a record: ")
    assert "file is not a database" in line


def test_training_continues_if_the_store_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MlflowException("the server is gone")

    with training_run(project.params, project.root, "mlp", SETTINGS) as record:
        monkeypatch.setattr(MlflowClient, "log_batch", fail)
        record.log_epoch(EPOCHS[0])
        record.finish(project.root / "models/mlp")
        record.log_epoch(EPOCHS[1])  # one line says so, once

    (line,) = capsys.readouterr().err.splitlines()
    assert "mlp is trained without a record" in line
    assert "the server is gone" in line


def test_the_step_trains_in_a_run_of_mlflow(project: Project) -> None:
    mlp = project.params.train.mlp.model_copy(update={"hidden": [8], "max_epochs": 2})
    settings = project.params.train.model_copy(update={"mlp": mlp, "folds": 2})
    alone = project.params.compute.model_copy(update={"workers": 1})
    params = project.params.model_copy(update={"train": settings, "compute": alone})

    train.recorded(params, project.root, "mlp")

    (run,) = found(project)
    assert run.data.params["hidden"] == "[8]"
    assert [step for step, _ in losses(project, run)] == [1, 2]
    assert run.data.tags["model_sha256"] == facts.folder_sha256(project.root / "models/mlp")
