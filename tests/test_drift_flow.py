"""Drift in the flow `classify`, on a Prefect server of its own: shown, and asked about once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from drifting import make, muffled, reference_folder, write_new
from flows_harness import wait_until
from prefect.client.orchestration import get_client
from registry_project import Project

from flows.classify import classify
from flows.drift import MOST_CRASHES
from flows.retrain import retrain
from genre.drift.reference import ARRAYS
from genre.registry.artifacts import FILES
from tasks import register

pytestmark = pytest.mark.slow

SONGS = 24


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Project:
    """A project that has registered its model."""
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        os.environ.pop(variable, None)
    made = make(tmp_path_factory.mktemp("drift") / "project", project)
    register.run(made.params, made.root)
    return made


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs like those of training."""
    folder = tmp_path_factory.mktemp("alike")
    write_new(folder, SONGS)
    return folder


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the same songs, muffled."""
    folder = tmp_path_factory.mktemp("muffled")
    write_new(folder, SONGS, change=muffled)
    return folder


@pytest.fixture
def here(champion: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, as the folder that everything runs in, without answers."""
    monkeypatch.chdir(champion.root)
    shutil.rmtree("answers", ignore_errors=True)
    return champion


@pytest.fixture
def deployed(prefect_server: None) -> str:  # noqa: ARG001
    """The deployment that `make up` serves, asked for by what serves it, which takes up no run."""
    deployment = str(retrain.to_deployment(name="retrain").apply())
    ask_for_work(deployment)
    return deployment


def ask_for_work(deployment: str) -> None:
    """Ask the server for the runs of a deployment, as what serves it does all the time."""
    path = "/deployments/get_scheduled_flow_runs"
    body = {"deployment_ids": [deployment], "scheduled_before": "2000-01-01T00:00:00Z"}
    with get_client(sync_client=True) as client:
        client.request("POST", path, json=body)
        wait_until(lambda: client.read_deployment(deployment).last_polled is not None)


def end_run(name: str, kind: str, **more) -> None:
    """Let a run that was asked for have ended."""
    (run,) = of_server("flow_runs", flow_runs={"name": {"any_": [name]}})
    body = {"state": {"type": kind, "name": kind.capitalize(), **more}, "force": True}
    with get_client(sync_client=True) as client:
        client.request("POST", f"/flow_runs/{run['id']}/set_state", json=body)


def run(folder: Path, model: str | None = None):
    return classify(str(folder), "answers/answers.parquet", model, return_state=True)


def figures() -> dict:
    return json.loads(Path("answers/drift.json").read_text())


def of_server(kind: str, **filters) -> list[dict]:
    """What the server holds of a kind, such as flow_runs."""
    with get_client(sync_client=True) as client:
        return client.request("POST", f"/{kind}/filter", json=filters).json()


def requested() -> list[str]:
    """The runs of `retrain` that the server was asked for."""
    return [run["name"] for run in of_server("flow_runs") if run["deployment_id"]]


@pytest.mark.usefixtures("here", "deployed")
def test_songs_like_those_of_training_raise_no_alarm(alike) -> None:
    state = run(alike)

    assert state.is_completed()
    expected = f"{SONGS} songs classified, in answers/answers.parquet; no drift in {SONGS} songs"
    assert state.message == expected
    assert not figures()["drift"]
    assert figures()["songs"] == SONGS
    assert Path("answers/drift.png").read_bytes().startswith(b"\x89PNG")
    assert "![" in Path("answers/drift.md").read_text()


@pytest.mark.usefixtures("here", "deployed")
def test_drift_asks_for_one_retraining_and_not_again_for_the_same_songs(changed) -> None:
    before = requested()

    state = run(changed)
    again = run(changed)

    (asked,) = set(requested()) - set(before)
    assert state.is_completed()
    assert "of 57 columns have drifted" in state.message
    assert state.message.endswith(f"retraining is asked for: {asked}")
    assert again.message.startswith("no new songs; drift: ")
    assert again.message.endswith(f"retraining was asked for at {SONGS} songs: {asked}")
    assert len(requested()) == len(before) + 1
    assert f"Retraining is asked for: {asked}." in Path("answers/drift.md").read_text()
    # Also where what was written is lost: the server knows the evidence.
    Path("answers/drift.json").unlink()
    assert run(changed).message.endswith(f"retraining is asked for: {asked}")
    assert len(requested()) == len(before) + 1


@pytest.mark.usefixtures("here", "deployed")
def test_a_retraining_that_could_not_work_is_asked_for_again(changed) -> None:
    run(changed)
    cancelled = figures()["retraining"]["flow_run"]
    end_run(cancelled, "CANCELLED", message="Deployment concurrency limit reached.")

    said = run(changed).message
    crashed = figures()["retraining"]["flow_run"]
    end_run(crashed, "CRASHED")
    run(changed)
    failed = figures()["retraining"]["flow_run"]
    end_run(failed, "FAILED")

    assert said.endswith(f"retraining is asked for: {crashed}")
    assert len({cancelled, crashed, failed}) == 3
    assert run(changed).message.endswith(f"was asked for at {SONGS} songs: {failed}")


@pytest.mark.usefixtures("here", "deployed")
def test_retrainings_that_crash_one_after_the_other_are_given_up(changed) -> None:
    names = []
    for _ in range(MOST_CRASHES + 3):
        run(changed)
        names.append(figures()["retraining"]["flow_run"])
        end_run(names[-1], "CRASHED")

    assert len(set(names)) <= MOST_CRASHES + 1
    assert names[-1] == names[-2]


@pytest.mark.usefixtures("here", "deployed")
def test_where_nothing_serves_the_deployment_any_more_nobody_is_asked(changed, monkeypatch) -> None:
    monkeypatch.setattr("flows.drift.SERVED_SECONDS", 0.0)

    assert "retraining was not asked for: nothing serves" in run(changed).message
    assert figures()["retraining"] is None


@pytest.mark.usefixtures("here", "deployed")
def test_many_more_songs_ask_for_another_one(changed, tmp_path) -> None:
    folder = shutil.copytree(changed, tmp_path / "songs")
    run(folder)
    before = requested()

    write_new(folder / "more", 3, first=70_000, change=muffled)
    run(folder)
    few_more = requested()
    write_new(folder / "many", 20, first=80_000, change=muffled)
    run(folder)

    assert few_more == before
    assert len(requested()) == len(before) + 1
    assert figures()["retraining"]["songs"] == SONGS + 23


@pytest.mark.usefixtures("here", "prefect_server")
def test_the_finding_is_an_artifact_that_is_made_once(alike) -> None:
    def pages() -> list[str]:
        found = of_server("artifacts", artifacts={"key": {"any_": ["drift"]}})
        return [artifact["data"] for artifact in found]

    before = len(pages())
    run(alike)
    run(alike)

    new = pages()
    assert len(new) == before + 1
    assert sum(f"No drift in {SONGS} songs" in one for one in new) >= 1
    title = "# Drift: new songs against the training songs of music-genre version 1"
    assert all(one.startswith(title) for one in new)


@pytest.mark.usefixtures("here", "prefect_server")
def test_few_songs_are_said_to_be_too_few(tmp_path) -> None:
    write_new(tmp_path / "five", 5, change=muffled)

    message = run(tmp_path / "five").message

    assert "5 songs compared, too few to speak of drift (drift.min_songs is 20)" in message


@pytest.mark.usefixtures("prefect_server")
def test_nothing_is_asked_for_where_a_person_does_not_want_it(here, changed) -> None:
    text = (here.root / "params.yaml").read_text()
    (here.root / "params.yaml").write_text(text.replace("retrain: true", "retrain: false"))
    before = requested()

    message = run(changed).message
    (here.root / "params.yaml").write_text(text)

    assert "no retraining is asked for: drift.retrain is off" in message
    assert "the champion was not the one that was asked" in (
        run(changed, "models:/music-genre/1").message
    )
    assert requested() == before


@pytest.mark.usefixtures("here", "prefect_server")
def test_without_a_served_deployment_it_says_so(changed, monkeypatch) -> None:
    monkeypatch.setattr("flows.drift.DEPLOYMENT", "retrain/elsewhere")

    state = run(changed)

    assert state.is_completed()
    assert "retraining was not asked for: nothing serves retrain/elsewhere" in state.message


@pytest.mark.usefixtures("prefect_server")
def test_a_champion_that_kept_no_reference_answers_without_figures(here, alike, tmp_path) -> None:
    folder = reference_folder(here)
    client = here.store.client
    noted = client.get_model_version("music-genre", "1").tags[FILES]
    others = {path: said for path, said in json.loads(noted).items() if "/reference/" not in path}
    folder.rename(tmp_path / "reference")
    client.set_model_version_tag("music-genre", "1", FILES, json.dumps(others))

    state = run(alike)
    (tmp_path / "reference").rename(folder)
    client.set_model_version_tag("music-genre", "1", FILES, noted)
    then = run(alike)

    assert state.is_completed()
    assert f"{SONGS} songs classified" in state.message
    assert "music-genre version 1 keeps nothing of its training songs" in state.message
    # What was answered without being kept is not compared, and is counted.
    assert "0 songs compared, too few" in then.message
    assert figures()["unheard"] == SONGS
    assert f"Not compared: {SONGS} songs" in Path("answers/drift.md").read_text()


@pytest.mark.usefixtures("prefect_server")
def test_a_champion_with_a_damaged_reference_answers_nothing_and_says_why(here, alike) -> None:
    arrays = reference_folder(here) / ARRAYS
    content = arrays.read_bytes()
    arrays.write_bytes(content[:-8])

    state = run(alike)
    arrays.write_bytes(content)

    assert state.is_failed()
    assert "artifacts/reference/reference.safetensors" in state.message
    assert not Path("answers").exists()
