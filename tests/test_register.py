"""The step records everything, registers once, and moves aliases safely."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from registry_project import (
    GENRES,
    Project,
    make_project,
    migrated_store,
    write_clips,
    write_model,
    write_reports,
    write_songs,
)

from genre.errors import InputError
from genre.registry import aliases, artifacts, models, registration, versions
from tasks import register

NAME = "music-genre"
CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A finished pipeline whose model takes blues for jazz and jazz for blues."""
    return make_project(tmp_path / "project", confused=("blues", "jazz"))


def run(project: Project) -> dict[str, Any]:
    """Run the step; return the receipt."""
    register.run(project.params, project.root)
    return project.receipt


def step(root: Path, store_of: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the step in a process of its own; `store_of` is the checkout whose store it uses."""
    return subprocess.run(
        [sys.executable, "-m", "tasks.register"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "DVC_ROOT": str(store_of or root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def held(project: Project) -> dict[str, str]:
    """Alias to version."""
    return aliases.held(project.store, NAME)


def test_the_run_holds_everything_that_the_pipeline_left(project: Project) -> None:
    write_model(project.root, GENRES, name="other", seed=1)
    write_reports(project.root, models=("mlp", "other"))
    (project.root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  ingest:\n    deps:\n"
        "    - {path: data/raw, md5: abc.dir}\n    - {path: genre/audio.py, md5: def}\n"
    )

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
    assert record.data.tags["dvc/data/raw"] == "abc.dir"
    assert "dvc/genre/audio.py" not in record.data.tags
    assert record.data.tags["protocol"] == "song"
    assert {file.path for file in client.list_artifacts(receipt["run_id"])} == {
        "catalogue.json",
        "dvc.lock",
        "figures",
        "metrics.json",
        "model_card.md",
        "params.yaml",
    }


def test_every_trained_model_is_a_nested_run_with_its_curves(project: Project) -> None:
    write_model(project.root, GENRES, name="other", seed=1)
    write_reports(project.root, models=("mlp", "other"))

    receipt = run(project)

    client = project.store.client
    experiment = client.get_run(receipt["run_id"]).info.experiment_id
    parent = f"tags.`mlflow.parentRunId` = '{receipt['run_id']}'"
    nested = {found.info.run_name: found for found in client.search_runs([experiment], parent)}
    assert set(nested) == {"mlp", "other"}
    assert nested["other"].data.tags["selected"] == "false"
    assert nested["other"].data.metrics["validation_song/accuracy"] == 1
    assert nested["other"].data.params["dropout"] == "0.2"
    curve = client.get_metric_history(nested["other"].info.run_id, "epochs/train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]


def test_registering_again_makes_no_second_version_and_the_same_receipt(project: Project) -> None:
    first = run(project)
    content = (project.root / "mlruns/registered.json").read_bytes()
    (project.root / "mlruns/registered.json").unlink()

    run(project)

    assert first["version"] == "1"
    assert (project.root / "mlruns/registered.json").read_bytes() == content
    assert [row["version"] for row in models(project.params, project.root)] == ["1"]


def test_the_better_model_becomes_champion_and_the_one_before_it_previous(
    project: Project,
) -> None:
    run(project)
    project.retrain()

    receipt = run(project)

    assert (receipt["version"], receipt["aliases"]) == ("2", ["champion"])
    assert receipt["reason"].startswith("better: song-level macro-F1 +0.667 against version 1")
    assert held(project) == {"champion": "2", "previous": "1"}
    found = receipt["comparison"]
    assert (found["against"], found["songs"]) == ("1", 6)
    assert found["first"][0] - found["second"][0] == pytest.approx(found["estimate"])
    assert found["second"][1] <= found["second"][0] <= found["second"][2]
    assert run(project)["comparison"] == found


def test_a_model_that_is_no_better_becomes_challenger_with_the_reason(project: Project) -> None:
    run(project)
    project.retrain(confused=("jazz", "rock"))

    receipt = run(project)

    assert (receipt["version"], receipt["aliases"]) == ("2", ["challenger"])
    assert held(project) == {"champion": "1", "challenger": "2"}
    newest = models(project.params, project.root)[0]
    assert newest["reason"].startswith(
        "as good, but not surely so: song-level macro-F1 +0.000 against version 1"
    )


@pytest.mark.slow
def test_songs_that_the_champion_was_trained_on_are_left_out(project: Project) -> None:
    run(project)
    # One song of each genre that the champion learned from is a validation song today.
    sides = ("validation", "train", "train", "validation", "train", "test")
    write_songs(project.root, GENRES, sides)
    project.retrain()

    receipt = run(project)

    assert "on 3 validation songs that neither was trained on" in receipt["reason"]


@pytest.mark.slow
def test_a_champion_that_heard_every_validation_song_of_today_stays(project: Project) -> None:
    run(project)
    write_songs(project.root, GENRES, ("validation", "validation", "train", "train", "test"))
    songs = pd.read_parquet(project.root / "data/catalogue.parquet")
    songs["track_id"] = "new " + songs["track_id"]  # other files, the same recordings
    songs.to_parquet(project.root / "data/catalogue.parquet", index=False)
    for name in ("data/split.parquet", "data/features/3s/part-0.parquet"):
        table = pd.read_parquet(project.root / name)
        table.assign(track_id="new " + table["track_id"]).to_parquet(project.root / name)
    project.retrain()

    receipt = run(project)

    assert receipt["aliases"] == ["challenger"]
    assert "it was trained on every validation song of today" in receipt["reason"]


def test_a_champion_that_does_not_know_a_new_genre_gives_way(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    run(project)
    genres = (*GENRES, "metal")
    write_songs(project.root, genres)
    write_model(project.root, genres, confused=("blues", "jazz"))
    write_reports(project.root)

    receipt = run(project)

    assert held(project) == {"champion": "2", "previous": "1"}
    assert "does not know metal" in receipt["reason"]


def with_other_frames(project: Project) -> None:
    """Let the features of today be made otherwise than those that the champion looks at."""
    features = project.params.features.model_copy(update={"n_fft": 4096})
    project.params = project.params.model_copy(update={"features": features})
    project.retrain()


@pytest.mark.slow
def test_a_champion_with_other_frames_listens_to_the_clips_itself(project: Project) -> None:
    run(project)
    with_other_frames(project)
    write_clips(project)

    receipt = run(project)

    assert "against version 1" in receipt["reason"]
    assert f"on {len(project.songs('validation'))} validation songs" in receipt["reason"]


@pytest.mark.slow
def test_a_champion_with_other_frames_and_no_clips_to_hear_stays(project: Project) -> None:
    run(project)
    with_other_frames(project)

    receipt = run(project)

    assert receipt["aliases"] == ["challenger"]
    assert "it cannot be compared with version 1: it cannot predict them" in receipt["reason"]
    assert "data/clips" in receipt["reason"]


@pytest.mark.slow
def test_a_champion_whose_files_are_gone_stays(project: Project) -> None:
    first = run(project)
    shutil.rmtree(project.root / "mlruns/artifacts/models" / first["model_id"])
    project.retrain(confused=GENRES)

    receipt = run(project)

    assert held(project) == {"champion": "1", "challenger": "2"}
    assert receipt["reason"] == "it cannot be compared with version 1: its files are gone"


def test_a_leaky_protocol_is_never_champion_not_even_the_first(project: Project) -> None:
    project.retrain(protocol="segment")

    assert run(project)["aliases"] == ["challenger"]
    assert held(project) == {"challenger": "1"}


def test_an_experiment_is_recorded_and_moves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    project.retrain()
    monkeypatch.setenv("DVC_EXP_NAME", "loud-cat")

    receipt = run(project)
    again = run(project)

    assert (receipt["version"], receipt["decision"]) == (None, "recorded")
    assert receipt["experiment"] == "loud-cat"
    assert again == receipt
    assert held(project) == {"champion": "1"}
    record = project.store.client.get_run(receipt["run_id"])
    assert record.info.run_name == "loud-cat"
    assert project.store.client.get_logged_model(receipt["model_id"]).status == "READY"


@pytest.mark.slow
def test_an_experiment_that_was_applied_is_judged_as_any_model(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.retrain(confused=GENRES)
    run(project)
    project.retrain()
    monkeypatch.setenv("DVC_EXP_NAME", "loud-cat")
    assert run(project)["version"] is None
    monkeypatch.delenv("DVC_EXP_NAME")

    receipt = run(project)

    assert (receipt["version"], receipt["aliases"]) == ("2", ["champion"])
    assert receipt["reason"].startswith("better: ")


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
def test_pointing_at_another_store_registers_again(project: Project) -> None:
    first = run(project)
    project.retrain()
    run(project)
    shutil.copyfile(migrated_store(), project.root / "other.db")
    tracking = project.params.tracking.model_copy(update={"uri": "sqlite:///other.db"})
    project.params = project.params.model_copy(update={"tracking": tracking})

    receipt = run(project)

    assert (receipt["version"], receipt["aliases"]) == ("1", ["champion"])
    assert receipt["run_id"] != first["run_id"]


@pytest.mark.slow
def test_deleting_the_store_registers_again(project: Project) -> None:
    first = run(project)
    shutil.rmtree(project.root / "mlruns")

    done = step(project.root)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "music-genre version 1: champion (there was no champion)\n"
    assert project.receipt["run_id"] != first["run_id"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (versions, "create"),
        (versions, "settle"),
        (aliases, "make_champion"),
        (versions, "record_decision"),
    ],
)
def test_killed_at_any_write_it_goes_on_where_it_ended(
    project: Project, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(KeyboardInterrupt):
            run(project)
    assert not (project.root / "mlruns/registered.json").exists()
    assert ("champion" in held(project)) == (name == "record_decision")

    receipt = run(project)

    assert (receipt["version"], receipt["aliases"]) == ("1", ["champion"])
    client = project.store.client
    experiment = client.get_run(receipt["run_id"]).info.experiment_id
    parents = client.search_runs([experiment], "tags.role = 'pipeline'")
    assert [found.info.run_id for found in parents] == [receipt["run_id"]]


def test_a_run_that_was_killed_half_way_is_marked_and_gets_no_version(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(registration, "_log_model", killed)
        patch.setattr(project.store.client.__class__, "set_terminated", killed)
        with pytest.raises(Killed):
            run(project)

    run(project)

    client = project.store.client
    experiment = client.get_experiment_by_name(NAME).experiment_id
    states = {found.info.status for found in client.search_runs([experiment])}
    assert states == {"KILLED", "FINISHED"}
    assert len(models(project.params, project.root)) == 1


@pytest.mark.slow
def test_two_registrations_at_once_leave_every_version_whole(project: Project) -> None:
    twin = make_project(project.root.parent / "twin", seed=5)

    with ThreadPoolExecutor() as pool:
        done = list(pool.map(partial(step, store_of=project.root), [project.root, twin.root]))

    assert [each.returncode for each in done] == [0, 0], done
    client = project.store.client
    found = client.search_model_versions(f"name = '{NAME}'")
    assert sorted(int(version.version) for version in found) == [1, 2]
    for version in found:
        assert artifacts.damage(project.store, version) is None
        place = Path(version.source.removeprefix("file://"))
        assert (place / "artifacts/model/classifier.json").is_file()
    assert held(project)["champion"] in {"1", "2"}
    assert set(held(project).values()) <= {"1", "2"}


def test_a_pipeline_that_has_not_finished_is_bad_input(project: Project) -> None:
    (project.root / "reports/metrics.json").unlink()

    with pytest.raises(InputError, match=r"metrics\.json: no such file; type make run"):
        run(project)


def test_nothing_is_printed_but_the_summary(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    summary = register.run(project.params, project.root)

    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert summary == "music-genre version 1: champion (there was no champion)"
