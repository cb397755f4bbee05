"""The gate and simulated champions: better, worse, equal, and such that cannot be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from registry_project import (
    GENRES,
    Project,
    make_project,
    registered,
    restored,
    write_clips,
    write_model,
    write_reports,
    write_songs,
)

from genre import registry
from genre.core import messages
from genre.core.errors import InputError
from genre.registry import gate
from genre.registry.lookup import FILES, NOT_REGISTERED_HERE
from genre.registry.promotion import Policy
from tasks import register

NAME = "music-genre"
PAIR = ("blues", "jazz")


@pytest.fixture(autouse=True)
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A finished pipeline whose model is right about every song; nothing is registered."""
    return make_project(tmp_path / "project")


@pytest.fixture
def once() -> Iterator[Project]:
    """That pipeline, whose model is registered and champion."""
    with restored(registered(())) as project:
        yield project


def run(project: Project) -> dict[str, Any]:
    register.run(project.params, project.root)
    return project.receipt


def test_a_better_model_takes_over(project: Project) -> None:
    project.retrain(confused=GENRES)
    run(project)
    project.retrain()

    receipt = run(project)

    assert receipt["reason"].startswith("better: song-level macro-F1 +1.000 against version 1")
    assert (receipt["version"], receipt["aliases"]) == ("2", ["champion"])
    assert project.aliases == {"champion": "2", "previous": "1"}
    found = receipt["comparison"]
    assert (found["against"], found["songs"]) == ("1", 6)
    assert found["first"][0] - found["second"][0] == pytest.approx(found["estimate"])
    assert found["second"][1] <= found["second"][0] <= found["second"][2]
    assert run(project)["comparison"] == found


def test_a_worse_model_stays_challenger_with_the_reason_in_its_tags(once: Project) -> None:
    once.retrain(confused=PAIR)

    run(once)

    assert once.aliases == {"champion": "1", "challenger": "2"}
    tags = once.store.client.get_model_version(NAME, "2").tags
    assert tags["decision"] == "challenger"
    assert tags["reason"].startswith("worse: song-level macro-F1 -0.667 against version 1")
    assert "promoted_at" not in tags


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("not_worse", {"champion": "2", "previous": "1"}),
        ("superior", {"champion": "1", "challenger": "2"}),
    ],
)
def test_an_equal_model_is_promoted_by_the_policy_not_worse(
    once: Project, policy: Policy, expected: dict[str, str]
) -> None:
    section = once.params.register_.model_copy(update={"policy": policy})
    once.params = once.params.model_copy(update={"register_": section})
    once.retrain(seed=1)

    receipt = run(once)

    assert receipt["reason"].startswith("as good: " if policy == "not_worse" else "no better: ")
    assert once.aliases == expected


def test_a_model_with_fewer_families_waits_until_it_is_promoted(project: Project) -> None:
    path = project.root / "classifier/classifier.json"
    described = json.loads(path.read_text())
    described["front"]["features"]["families"] = ["report", "extended"]
    project.retrain(confused=GENRES)
    path.write_text(json.dumps(described))
    run(project)
    project.retrain()

    receipt = run(project)

    assert project.aliases == {"champion": "1", "challenger": "2"}
    assert receipt["reason"] == (
        "fewer feature families (report) than version 1 (report, extended)"
    )
    assert receipt["comparison"]["estimate"] > 0
    assert receipt["warning"].startswith("version 2 of music-genre has fewer feature families")
    assert "genre promote 2" in receipt["warning"]
    assert run(project)["warning"] == receipt["warning"]

    registry.promote(project.params, project.root, "2")

    assert run(project)["warning"] is None


@pytest.mark.slow
def test_a_champion_of_other_genres_is_replaced(once: Project) -> None:
    genres = ("blues", "metal", "rock")
    write_songs(once.root, genres)
    write_model(once.root, genres)
    write_reports(once.root)

    assert run(once)["reason"] == ("version 1 was not trained on today's genres metal")
    assert once.aliases == {"champion": "2", "previous": "1"}


@pytest.mark.slow
def test_a_champion_of_other_features_stays_because_it_cannot_be_compared(project: Project) -> None:
    path = project.root / "classifier/mlp/model.json"
    path.write_text(path.read_text().replace("rms_mean", "loudness_mean"))
    run(project)
    project.retrain()
    write_clips(project)

    receipt = run(project)

    assert receipt["reason"] == (
        "it cannot be compared with version 1: it cannot predict them (mlp was trained on features "
        "that are missing (loudness_mean); train it again "
        f"({messages.command('dvc repro train')}))"
    )
    assert project.aliases == {"champion": "1", "challenger": "2"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "its files are gone"),
        ("artifacts/training_songs.json", "its files are not those that were registered"),
        ("artifacts/model/mlp/weights.safetensors", "its files are not those that were registered"),
    ],
)
def test_a_champion_whose_files_are_gone_wholly_or_in_part_stays(
    once: Project, path: str, words: str
) -> None:
    place = once.root / "mlruns/artifacts/models" / once.receipt["model_id"] / "artifacts"
    lost = place / path
    assert lost.exists()
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    once.retrain(confused=PAIR)

    receipt = run(once)

    assert f"it cannot be compared with version 1: {words}" in receipt["reason"]
    assert once.aliases == {"champion": "1", "challenger": "2"}


def test_a_champion_that_was_registered_elsewhere_stays_and_the_remedy_is_named(
    project: Project,
) -> None:
    store = project.store
    place = project.root / "mlruns/artifacts/models/theirs"
    place.mkdir(parents=True)
    (place / "MLmodel").write_text("flavors: {}")
    with store.reading():
        store.client.create_registered_model(NAME)
        store.client.create_model_version(NAME, place.as_uri())
    with pytest.raises(InputError, match=NOT_REGISTERED_HERE):
        registry.promote(project.params, project.root, "1")
    store.client.set_registered_model_alias(NAME, "champion", "1")

    receipt = run(project)

    assert receipt["reason"] == f"it cannot be compared with version 1: {NOT_REGISTERED_HERE}"
    assert project.aliases == {"champion": "1", "challenger": "2"}
    assert "version 1 of music-genre is champion and cannot be used" in receipt["warning"]
    assert "genre promote 2" in receipt["warning"]
    assert "genre rollback" in receipt["warning"]
    assert register.run(project.params, project.root).startswith("unchanged: ")
    assert project.receipt == receipt


def test_a_blocked_version_that_is_made_champion_in_mlflow_is_not_called_the_gates_choice(
    once: Project,
) -> None:
    once.store.client.delete_model_version_tag(NAME, "1", FILES)
    assert run(once)["aliases"] == ["challenger"]
    once.store.client.set_registered_model_alias(NAME, "champion", "2")

    receipt = run(once)

    assert (receipt["decision"], receipt["warning"]) == ("champion", None)
    rows = registry.history(once.params, once.root)
    assert [row["version"] for row in rows] == ["1"]


@pytest.mark.slow
def test_once_the_champion_is_restored_the_blocked_version_is_compared(project: Project) -> None:
    project.retrain(confused=PAIR)
    place = project.root / "mlruns/artifacts/models" / run(project)["model_id"]
    aside = place.rename(project.root / "aside")
    project.retrain()
    assert run(project)["aliases"] == ["challenger"]
    aside.rename(place)

    receipt = run(project)

    assert receipt["reason"].startswith("better: ")
    assert receipt["warning"] is None
    assert project.aliases == {"champion": "2", "previous": "1"}


def test_a_renamed_genre_is_not_a_new_genre(once: Project) -> None:
    genres = ("bebop" if genre == "jazz" else genre for genre in GENRES)
    rename(once, "jazz", "bebop")
    write_model(once.root, sorted(genres), confused=("bebop", "rock"))
    write_reports(once.root)

    receipt = run(once)

    assert receipt["reason"].startswith("worse: ")
    assert receipt["reason"].endswith("; jazz is now called bebop")
    assert once.aliases == {"champion": "1", "challenger": "2"}


def rename(project: Project, old: str, new: str) -> None:
    """Give the songs of a genre another genre, as in a folder that was renamed."""
    for name in ("data/catalogue.parquet", "data/features/report/3s/part-0.parquet"):
        table = pd.read_parquet(project.root / name)
        table["genre"] = table["genre"].replace(old, new)
        table.to_parquet(project.root / name, index=False)


@pytest.mark.slow
def test_songs_that_the_champion_was_trained_on_are_left_out(once: Project) -> None:
    # One song of each genre that the champion was trained on is a validation song today.
    sides = ("validation", "train", "train", "validation", "train", "test")
    write_songs(once.root, GENRES, sides)
    once.retrain(seed=1)

    receipt = run(once)

    assert "on 3 validation songs that neither was trained on" in receipt["reason"]


@pytest.mark.slow
def test_a_champion_that_was_trained_on_every_validation_song_stays(once: Project) -> None:
    write_songs(once.root, GENRES, ("validation", "validation", "train", "train", "test"))
    songs = pd.read_parquet(once.root / "data/catalogue.parquet")
    songs["track_id"] = "new " + songs["track_id"]  # other files, the same recordings
    songs.to_parquet(once.root / "data/catalogue.parquet", index=False)
    for name in ("data/split.parquet", "data/features/report/3s/part-0.parquet"):
        table = pd.read_parquet(once.root / name)
        table.assign(track_id="new " + table["track_id"]).to_parquet(once.root / name)
    once.retrain(seed=1)

    receipt = run(once)

    assert receipt["aliases"] == ["challenger"]
    assert "it was trained on every validation song of today" in receipt["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("clips", [True, False])
def test_a_champion_with_other_frames_predicts_from_the_clips_if_they_are_there(
    once: Project, clips: bool
) -> None:
    features = once.params.features.model_copy(update={"n_fft": 4096})
    once.params = once.params.model_copy(update={"features": features})
    once.retrain(seed=1)
    if clips:
        write_clips(once)

    reason = run(once)["reason"]

    if clips:
        assert f"on {len(once.songs('validation'))} validation songs" in reason
    else:
        assert "it cannot be compared with version 1: it cannot predict them" in reason
        assert "data/clips" in reason
        assert once.aliases == {"champion": "1", "challenger": "2"}


def test_a_leaky_protocol_is_never_champion_not_even_the_first(project: Project) -> None:
    project.retrain(protocol="segment")

    receipt = run(project)

    assert (receipt["aliases"], receipt["warning"]) == (["challenger"], None)
    assert project.aliases == {"challenger": "1"}


@pytest.mark.slow
def test_a_decision_against_a_champion_that_is_gone_meanwhile_is_taken_again(
    once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    once.retrain(seed=1)
    run(once)
    once.retrain(seed=2)
    client, evaluate = once.store.client, gate.evaluate_champion
    evaluated = []

    def evaluate_and_move(*facts: Any) -> object:
        champion = evaluate(*facts)
        evaluated.append(champion.version)
        client.set_registered_model_alias(NAME, "champion", "1")  # as another machine may
        return champion

    monkeypatch.setattr(gate, "evaluate_champion", evaluate_and_move)

    receipt = run(once)

    assert evaluated == ["2", "1"]
    assert "against version 1" in receipt["reason"]
    assert once.aliases == {"champion": "3", "previous": "1"}
