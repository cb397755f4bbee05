"""Drift, from the registered champion to the flow `classify` and `genre drift`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drifting import SIDES, make, muffled, write_new
from prefect.client.orchestration import get_client
from registry_project import GENRES, Project

from flows.classify import classify
from flows.retrain import retrain
from genre.classifier import Classifier, ClipWanted
from genre.cli import main
from genre.drift.reference import ARRAYS, load
from genre.features import NAMES
from tasks import register

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
def deployed(prefect_server: None) -> None:  # noqa: ARG001
    """The deployment that `make up` serves, known to the server; nothing takes up its runs."""
    retrain.to_deployment(name="retrain").apply()


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


def reference_folder(project: Project) -> Path:
    place = project.root / "mlruns/artifacts/models" / project.receipt["model_id"]
    return place / "artifacts/artifacts/reference"


def test_the_registered_model_keeps_its_training_songs_column_by_column(champion) -> None:
    found = load(reference_folder(champion))

    features = pd.read_parquet(champion.root / "data/features/3s").set_index("track_id")
    songs = features.loc[champion.songs("train"), list(NAMES)].groupby(level=0).mean()
    assert list(found.columns) == list(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found.columns[name], np.sort(songs[name]))
    assert found.genres == dict.fromkeys(GENRES, SIDES.count("train"))
    assert len(found.confidence) == len(GENRES) * (len(SIDES) - SIDES.count("train"))
    assert found.position == "middle"


def test_nothing_in_it_is_pickled(champion) -> None:
    kept = {path.name for path in reference_folder(champion).iterdir()}

    assert kept == {"reference.json", "reference.safetensors"}


def test_a_long_song_is_compared_by_the_part_that_training_looks_at(champion, tmp_path) -> None:
    from drifting import song
    from songs import RATE, write

    parts = [song(number) for number in range(12)]
    quiet = [0.01 * part for part in parts]
    loud_within = [*quiet[:10], *parts[:10], *quiet[:10]]
    long = write(tmp_path / "long.wav", np.concatenate(loud_within)[:, np.newaxis], rate=RATE)
    alone = write(tmp_path / "alone.wav", np.concatenate(parts[:10])[:, np.newaxis], rate=RATE)
    classifier = Classifier.from_folder(champion.root / "classifier")
    wanted = ClipWanted("middle", NAMES)

    heard = [classifier.classify(path, clip=wanted).clip for path in (long, alone)]
    start = classifier.classify(long, clip=ClipWanted("start", ("rms_mean",))).clip

    assert heard[0].columns == pytest.approx(heard[1].columns, rel=1e-6)
    assert heard[0].confidence == pytest.approx(heard[1].confidence)
    assert start.columns["rms_mean"] < 0.1 * heard[0].columns["rms_mean"]
    assert classifier.classify(long).clip is None


@pytest.mark.usefixtures("here", "deployed")
def test_songs_like_those_of_training_raise_no_alarm(alike) -> None:
    state = run(alike)

    assert state.is_completed()
    expected = f"{SONGS} files answered, in answers/answers.parquet; no drift in {SONGS} songs"
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
    assert again.message.startswith("nothing new to answer; drift: ")
    assert again.message.endswith(f"retraining was asked for at {SONGS} songs: {asked}")
    assert len(requested()) == len(before) + 1
    assert f"Retraining is asked for: {asked}." in Path("answers/drift.md").read_text()
    # Also where what was written is lost: the server knows the evidence.
    Path("answers/drift.json").unlink()
    assert run(changed).message.endswith(f"retraining is asked for: {asked}")
    assert len(requested()) == len(before) + 1


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
def test_a_champion_of_before_answers_without_figures(here, alike) -> None:
    folder = reference_folder(here)
    folder.rename(folder.with_name("away"))

    state = run(alike)
    folder.with_name("away").rename(folder)
    then = run(alike)

    assert state.is_completed()
    assert f"{SONGS} files answered" in state.message
    assert "music-genre version 1 keeps nothing of its training songs" in state.message
    # What was answered without being kept is not compared, and is counted.
    assert "0 songs compared, too few" in then.message
    assert figures()["unheard"] == SONGS
    assert f"Not compared: {SONGS} songs" in Path("answers/drift.md").read_text()


@pytest.mark.usefixtures("prefect_server")
def test_a_damaged_reference_is_told_and_songs_are_answered_all_the_same(here, alike) -> None:
    arrays = reference_folder(here) / ARRAYS
    content = arrays.read_bytes()
    arrays.write_bytes(content[:-8])

    state = run(alike)
    arrays.write_bytes(content)

    assert state.is_failed()
    assert "reference.safetensors: damaged" in state.message
    assert len(pd.read_parquet("answers/answers.parquet")) == SONGS
    assert not Path("answers/drift.md").exists()


def drift(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """What `genre drift` ends with, and says on stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        main(["drift", *arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.mark.usefixtures("here")
def test_the_command_ends_with_3_where_songs_have_drifted(alike, changed, capsys) -> None:
    code, _, said = drift(capsys, str(alike))
    assert (code, said) == (0, f"music-genre version 1: no drift in {SONGS} songs\n")

    code, shown, said = drift(capsys, str(changed))

    assert code == 3
    assert "music-genre version 1: drift: " in said
    assert "drifted" in shown.splitlines()[1]


@pytest.mark.usefixtures("here")
def test_the_command_names_unknown_genres_as_json(alike, tmp_path, capsys) -> None:
    shutil.copytree(alike, tmp_path / "new/rock")
    write_new(tmp_path / "new/techno", 4, first=90_000)

    code, shown, _ = drift(capsys, str(tmp_path / "new"), "--json")

    found = json.loads(shown)
    assert code == 3
    assert (found["known"], found["unknown"]) == ({"rock": SONGS}, {"techno": 4})
    assert [sign["kind"] for sign in found["signs"]] == ["genres"]
    assert found["model"] == "music-genre version 1"


@pytest.mark.usefixtures("here")
def test_the_command_says_what_it_cannot_compare(tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()

    for folder, message in (("nowhere", "no such folder"), ("empty", "nothing to compare")):
        code, _, said = drift(capsys, str(tmp_path / folder))
        assert code == 2
        assert message in said
