"""The gate meets simulated champions: better, worse, equal, and such that cannot be compared."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from registry_project import (
    GENRES,
    Project,
    make_project,
    write_clips,
    write_model,
    write_reports,
    write_songs,
)

from genre import hints, registry
from genre.errors import InputError
from genre.promotion import Policy
from genre.registry import aliases, artifacts
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


def under(project: Project, policy: Policy) -> Project:
    """The project with another `register.policy`."""
    section = project.params.register_.model_copy(update={"policy": policy})
    return Project(project.root, project.params.model_copy(update={"register_": section}))


def run(project: Project) -> dict[str, Any]:
    register.run(project.params, project.root)
    return project.receipt


def held(project: Project) -> dict[str, str]:
    return aliases.held(project.store, NAME)


@pytest.mark.parametrize("policy", ["not_worse", pytest.param("superior", marks=pytest.mark.slow)])
def test_a_better_model_takes_over(project: Project, policy: Policy) -> None:
    project = under(project, policy)
    project.retrain(confused=GENRES)
    run(project)
    project.retrain()

    receipt = run(project)

    assert receipt["reason"].startswith("better: song-level macro-F1 +1.000 against version 1")
    assert held(project) == {"champion": "2", "previous": "1"}


@pytest.mark.parametrize("policy", ["not_worse", pytest.param("superior", marks=pytest.mark.slow)])
def test_a_worse_model_stays_challenger_and_its_tags_say_why(
    project: Project, policy: Policy
) -> None:
    project = under(project, policy)
    run(project)
    project.retrain(confused=PAIR)

    run(project)

    assert held(project) == {"champion": "1", "challenger": "2"}
    tags = project.store.client.get_model_version(NAME, "2").tags
    assert tags["decision"] == "challenger"
    assert tags["reason"].startswith("worse: song-level macro-F1 -0.667 against version 1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("not_worse", {"champion": "2", "previous": "1"}),
        ("superior", {"champion": "1", "challenger": "2"}),
    ],
)
def test_an_equal_model_takes_over_where_not_worse_is_enough(
    project: Project, policy: Policy, expected: dict[str, str]
) -> None:
    project = under(project, policy)
    run(project)
    project.retrain(seed=1)

    receipt = run(project)

    assert receipt["reason"].startswith("as good: " if policy == "not_worse" else "no better: ")
    assert held(project) == expected


def test_a_model_with_fewer_families_waits_until_it_is_promoted(project: Project) -> None:
    path = project.root / "classifier/classifier.json"
    described = json.loads(path.read_text())
    described["front"]["features"]["families"] = ["report", "extended"]
    project.retrain(confused=GENRES)
    path.write_text(json.dumps(described))
    run(project)
    project.retrain()

    receipt = run(project)

    assert held(project) == {"champion": "1", "challenger": "2"}
    assert receipt["reason"] == (
        "fewer feature families (report) than version 1 (report, extended)"
    )
    assert receipt["comparison"]["estimate"] > 0
    assert receipt["warning"].startswith("version 2 of music-genre has fewer feature families")
    assert "genre promote 2" in receipt["warning"]
    assert run(project)["warning"] == receipt["warning"]

    with registry.quiet():
        registry.promote(project.params, project.root, "2")

    assert run(project)["warning"] is None


@pytest.mark.slow
def test_a_champion_of_other_genres_gives_way(project: Project) -> None:
    run(project)
    genres = ("blues", "metal", "rock")
    write_songs(project.root, genres)
    write_model(project.root, genres)
    write_reports(project.root)

    assert run(project)["reason"] == ("version 1 does not know metal, of today's genres")
    assert held(project) == {"champion": "2", "previous": "1"}


@pytest.mark.slow
def test_a_champion_of_other_features_stays_for_it_cannot_be_compared(project: Project) -> None:
    path = project.root / "classifier/mlp/model.json"
    path.write_text(path.read_text().replace("rms_mean", "loudness_mean"))
    run(project)
    project.retrain()
    write_clips(project)

    receipt = run(project)

    assert receipt["reason"] == (
        "it cannot be compared with version 1: it cannot predict them (mlp was trained on features "
        f"that are not there (loudness_mean); train it again ({hints.command('dvc repro train')}))"
    )
    assert held(project) == {"champion": "1", "challenger": "2"}


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
    project: Project, path: str, words: str
) -> None:
    place = project.root / "mlruns/artifacts/models" / run(project)["model_id"] / "artifacts"
    lost = place / path
    assert lost.exists()
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    project.retrain(confused=PAIR)

    receipt = run(project)

    assert f"it cannot be compared with version 1: {words}" in receipt["reason"]
    assert held(project) == {"champion": "1", "challenger": "2"}


def test_a_champion_that_something_else_made_stays_and_the_way_back_is_named(
    project: Project,
) -> None:
    store = project.store
    place = project.root / "mlruns/artifacts/models/theirs"
    place.mkdir(parents=True)
    (place / "MLmodel").write_text("flavors: {}")
    with registry.quiet():
        store.client.create_registered_model(NAME)
        store.client.create_model_version(NAME, place.as_uri())
        with pytest.raises(InputError, match=artifacts.FOREIGN):
            registry.promote(project.params, project.root, "1")
        store.client.set_registered_model_alias(NAME, "champion", "1")

    receipt = run(project)

    assert receipt["reason"] == f"it cannot be compared with version 1: {artifacts.FOREIGN}"
    assert held(project) == {"champion": "1", "challenger": "2"}
    assert "version 1 of music-genre is champion and cannot be used" in receipt["warning"]
    assert "genre promote 2" in receipt["warning"]
    assert "genre rollback" in receipt["warning"]


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
    assert held(project) == {"champion": "2", "previous": "1"}


@pytest.mark.slow
def test_a_champion_damaged_after_the_comparison_is_not_said_to_be_uncompared(
    project: Project,
) -> None:
    place = project.root / "mlruns/artifacts/models" / run(project)["model_id"]
    project.retrain(confused=PAIR)
    assert run(project)["reason"].startswith("worse: ")
    shutil.rmtree(place)

    receipt = run(project)

    assert "version 1 of music-genre is champion and cannot be used" in receipt["warning"]
    assert "was not compared" not in receipt["warning"]
    assert held(project) == {"champion": "1", "challenger": "2"}


def test_a_genre_that_was_renamed_is_no_new_genre(project: Project) -> None:
    run(project)
    genres = ("bebop" if genre == "jazz" else genre for genre in GENRES)
    rename(project, "jazz", "bebop")
    write_model(project.root, sorted(genres), confused=("bebop", "rock"))
    write_reports(project.root)

    receipt = run(project)

    assert receipt["reason"].startswith("worse: ")
    assert receipt["reason"].endswith("; jazz is called bebop now")
    assert held(project) == {"champion": "1", "challenger": "2"}


def rename(project: Project, old: str, new: str) -> None:
    """Give the songs of a genre another genre, as in a folder that was renamed."""
    for name in ("data/catalogue.parquet", "data/features/3s/part-0.parquet"):
        table = pd.read_parquet(project.root / name)
        table["genre"] = table["genre"].replace(old, new)
        table.to_parquet(project.root / name, index=False)


def test_a_version_has_the_checksums_of_its_files(project: Project) -> None:
    receipt = run(project)

    tags = project.store.client.get_model_version(NAME, "1").tags
    noted = artifacts.checksums(tags)
    place = project.root / "mlruns/artifacts/models" / receipt["model_id"] / "artifacts"
    there = {
        path.relative_to(place).as_posix(): (
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in place.rglob("*")
        if path.is_file()
    }
    assert noted == there
    assert {"MLmodel", "artifacts/training_songs.json"} < set(noted)
