"""Drift: what a registered model keeps, `genre drift`, and the task of the flow `classify`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drift_project import SIDES, make, muffled, reference_folder, song, write_new
from prefect.client.orchestration import get_client
from registry_project import GENRES, Project
from songs import RATE, write

from flows.classify import classify
from flows.retrain import retrain
from genre.classifier import Classifier, ClipRequest
from genre.cli import main
from genre.drift.reference import ARRAYS, load
from genre.features.report import NAMES
from genre.registry.resolve import Found
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


# The registered model and the command


def test_the_registered_model_keeps_its_training_songs_column_by_column(champion) -> None:
    found = load(reference_folder(champion))

    features = pd.read_parquet(champion.root / "data/features/report/3s").set_index("track_id")
    songs = features.loc[champion.songs("train"), list(NAMES)].groupby(level=0).mean()
    assert list(found.columns) == list(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found.columns[name], np.sort(songs[name]))
    assert found.genres == dict.fromkeys(GENRES, SIDES.count("train"))
    assert len(found.confidence) == len(GENRES) * (len(SIDES) - SIDES.count("train"))
    assert found.position == "middle"


def test_a_long_song_is_compared_by_the_part_that_training_uses(champion, tmp_path) -> None:
    parts = [song(number) for number in range(12)]
    quiet = [0.01 * part for part in parts]
    loud_within = [*quiet[:10], *parts[:10], *quiet[:10]]
    long = write(tmp_path / "long.wav", np.concatenate(loud_within)[:, np.newaxis], rate=RATE)
    alone = write(tmp_path / "alone.wav", np.concatenate(parts[:10])[:, np.newaxis], rate=RATE)
    classifier = Classifier.from_folder(champion.root / "classifier")
    wanted = ClipRequest("middle", NAMES)

    clips = [classifier.classify(path, clip=wanted).clip for path in (long, alone)]
    start = classifier.classify(long, clip=ClipRequest("start", ("rms_mean",))).clip

    assert clips[0].columns == pytest.approx(clips[1].columns, rel=1e-6)
    assert clips[0].confidence == pytest.approx(clips[1].confidence)
    assert start.columns["rms_mean"] < 0.1 * clips[0].columns["rms_mean"]


def drift(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> tuple[int, str, str]:
    """The exit code of `genre drift`, its stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        main(["--root", str(root), "drift", *arguments])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_the_command_ends_with_3_if_songs_have_drifted(champion, alike, changed, capsys) -> None:
    code, _, message = drift(capsys, champion.root, str(alike))
    assert code == 0
    assert message.splitlines()[-1] == f"music-genre version 1: no drift in {SONGS} songs"

    code, shown, message = drift(capsys, champion.root, str(changed))

    assert code == 3
    assert "music-genre version 1: drift: " in message
    assert "of 57 have drifted" in shown


def test_the_command_names_unknown_genres_as_json(champion, alike, tmp_path, capsys) -> None:
    shutil.copytree(alike, tmp_path / "new/rock")
    write_new(tmp_path / "new/techno", 4, first=90_000)

    code, shown, _ = drift(capsys, champion.root, str(tmp_path / "new"), "--json")

    found = json.loads(shown)
    assert code == 3
    assert (found["known"], found["unknown"]) == ({"rock": SONGS}, {"techno": 4})
    assert list(found["alerts"]) == ["genres"]
    assert found["model"] == "music-genre version 1"


def test_the_command_reports_what_it_cannot_compare(champion, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()

    for folder, message in (
        ("nowhere", "no such folder"),
        ("empty", "no song could be classified"),
    ):
        code, _, printed = drift(capsys, champion.root, str(tmp_path / folder))
        assert code == 2
        assert message in printed


# The flow


@pytest.fixture
def here(champion: Project, monkeypatch: pytest.MonkeyPatch, prefect_server: None) -> Project:  # noqa: ARG001
    """The project without predictions, which is the current folder, and a Prefect server."""
    monkeypatch.chdir(champion.root)
    shutil.rmtree("out", ignore_errors=True)
    return champion


@pytest.fixture
def deployed(here: Project) -> None:  # noqa: ARG001
    """The deployment of `make up`, without anything that takes up its runs."""
    retrain.to_deployment(name="retrain").apply()


def run(folder: Path, model: str | None = None):
    return classify(str(folder), "out/classified.parquet", model, return_state=True)


def figures() -> dict:
    return json.loads(Path("out/drift.json").read_text())


def of_server(kind: str, **filters) -> list[dict]:
    """What the server holds of a kind, such as flow_runs."""
    with get_client(sync_client=True) as client:
        return client.request("POST", f"/{kind}/filter", json=filters).json()


def requested() -> list[str]:
    """The requested runs of `retrain`."""
    return [run["name"] for run in of_server("flow_runs") if run["deployment_id"]]


def artifacts() -> list[str]:
    found = of_server("artifacts", artifacts={"key": {"any_": ["drift"]}})
    return [artifact["data"] for artifact in found]


@pytest.mark.usefixtures("here")
def test_songs_like_those_of_training_raise_no_alert_and_are_reported_once(alike) -> None:
    before = len(artifacts())

    state = run(alike)
    run(alike)

    expected = f"{SONGS} songs classified, in out/classified.parquet; no drift in {SONGS} songs"
    assert state.is_completed()
    assert state.message == expected
    assert not figures()["drift"]
    assert figures()["songs"] == SONGS
    assert Path("out/drift.png").read_bytes().startswith(b"\x89PNG")
    assert "![" in Path("out/drift.md").read_text()
    title = "# Drift: new songs against the training songs of music-genre version 1"
    assert len(artifacts()) == before + 1
    assert all(page.startswith(title) for page in artifacts())


@pytest.mark.usefixtures("deployed")
def test_drift_asks_for_one_retraining_and_not_again_for_the_same_songs(changed, tmp_path) -> None:
    folder = shutil.copytree(changed, tmp_path / "songs")
    before = requested()

    state = run(folder)
    again = run(folder)

    (asked,) = set(requested()) - set(before)
    assert state.is_completed()
    assert "of 57 columns have drifted" in state.message
    assert state.message.endswith(f"retraining requested: {asked}")
    assert again.message.startswith("no new songs; drift: ")
    assert again.message.endswith(f"retraining requested before: {asked}")
    assert f"Retraining requested: {asked}." in Path("out/drift.md").read_text()

    write_new(folder / "more", 1, first=70_000, change=muffled)
    run(folder)
    assert len(requested()) == len(before) + 2


def test_no_retraining_is_requested_unless_enabled_and_served(here, changed, monkeypatch) -> None:
    text = (here.root / "params.yaml").read_text()
    before = requested()

    monkeypatch.setattr("flows.drift.DEPLOYMENT", "retrain/elsewhere")
    not_served = run(changed).message
    (here.root / "params.yaml").write_text(text.replace("retrain: true", "retrain: false"))
    not_wanted = run(changed).message
    (here.root / "params.yaml").write_text(text)
    other_version = run(changed, "models:/music-genre/1").message

    assert "no retraining requested: retrain/elsewhere is not served" in not_served
    assert figures()["retraining_run"] is None
    assert "no retraining requested: drift.retrain is false" in not_wanted
    assert "no retraining requested: the model is not the champion" in other_version
    assert requested() == before


@pytest.mark.usefixtures("here")
def test_a_champion_without_a_reference_classifies_without_a_report(alike, monkeypatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(Found, "reference", None)
        state = run(alike)
    then = run(alike)

    assert f"{SONGS} songs classified" in state.message
    assert "music-genre version 1 has no drift reference" in state.message
    assert "0 songs compared, too few" in then.message
    assert f"Not compared: {SONGS} songs" in Path("out/drift.md").read_text()


def test_a_champion_with_a_damaged_reference_classifies_nothing(here, alike) -> None:
    arrays = reference_folder(here) / ARRAYS
    content = arrays.read_bytes()
    arrays.write_bytes(content[:-8])

    state = run(alike)
    arrays.write_bytes(content)

    assert state.is_failed()
    assert "artifacts/reference/reference.safetensors" in state.message
    assert not Path("out").exists()
