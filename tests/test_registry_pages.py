"""What a person sees in MLflow's pages: descriptions, tags, datasets."""

from __future__ import annotations

import pandas as pd
import pytest
from registry_project import GENRES, SIDES, Project, registered, restored

from genre.registry import facts
from tasks import register

NAME = "music-genre"
LONGEST = 250  # characters of a tag that a person can read


@pytest.fixture(scope="module")
def project() -> Project:
    """A pipeline that was registered, and another with a worse model after it."""
    return registered((), ("blues", "jazz"))


def test_a_version_is_described_by_the_start_of_its_card(project: Project) -> None:
    version = project.store.client.get_model_version(NAME, "2")
    run = project.root / f"mlruns/artifacts/{version.run_id}/artifacts"

    what, trained, accuracy, limits, link = version.description.split("\n\n")

    assert what.startswith("Predicts the genre of a song, one of blues, jazz, rock")
    assert trained == ("**Trained on** 9 of 18 songs, by 9 named artists, with the model `mlp`.")
    assert accuracy == (
        "**Accuracy** 33.3 % of 3 test songs (95 % interval 0.0 to 100.0), macro-F1 0.333; split "
        "protocol `song`."
    )
    assert limits.startswith("**Limits** It always predicts one of its genres")
    assert f"/runs/{version.run_id}/artifacts/model_card.md" in link
    assert version.description.rpartition("\n\n")[0] in (run / "model_card.md").read_text()


def test_a_description_that_a_person_wrote_stays() -> None:
    with restored(registered((), ("blues", "jazz"))) as project:
        client = project.store.client
        assert f"models:/{NAME}@champion" in client.get_registered_model(NAME).description
        client.update_registered_model(NAME, "ours")
        client.update_model_version(NAME, "2", "the second")

        register.run(project.params, project.root)
        project.retrain(seed=1)
        register.run(project.params, project.root)

        assert client.get_registered_model(NAME).description == "ours"
        assert client.get_model_version(NAME, "2").description == "the second"
        assert client.get_model_version(NAME, "3").description


def test_the_songs_of_each_subset_are_datasets_of_the_run(project: Project) -> None:
    run = project.store.client.get_run(project.receipt["run_id"])
    songs = pd.read_parquet(project.root / "data/catalogue.parquet")

    found = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}

    assert set(found) == {"train", "validation", "test"}
    for subset, dataset in found.items():
        rows = songs[songs["track_id"].isin(project.songs(subset))]
        assert len(rows) == SIDES.count(subset) * len(GENRES)
        assert facts.data_sha256(rows).startswith(dataset.digest)
        assert f'"num_rows": {len(rows)}' in dataset.profile
        assert "catalogue.parquet" in dataset.source


def test_the_figures_of_the_logged_model_name_the_songs_that_they_are_of(project: Project) -> None:
    logged = project.store.client.get_logged_model(project.receipt["model_id"])
    test = project.songs("test")
    songs = pd.read_parquet(project.root / "data/catalogue.parquet")

    (accuracy,) = [found for found in logged.metrics if found.key == "test_song/accuracy"]

    assert accuracy.dataset_name == "songs"
    of_test = facts.data_sha256(songs[songs["track_id"].isin(test)])
    assert of_test.startswith(accuracy.dataset_digest)


def test_the_page_of_the_logged_model_finds_its_version(project: Project) -> None:
    logged = project.store.client.get_logged_model(project.receipt["model_id"])

    assert logged.tags["mlflow.modelVersions"] == f'[{{"name": "{NAME}", "version": 2}}]'


def test_tags_are_short_and_not_json(project: Project) -> None:
    client, receipt = project.store.client, project.receipt
    tagged = {
        "run": client.get_run(receipt["run_id"]).data.tags,
        "version": client.get_model_version(NAME, "2").tags,
        "logged model": client.get_logged_model(receipt["model_id"]).tags,
        "registered model": client.get_registered_model(NAME).tags,
    }

    shown = {
        (of, key): value
        for of, tags in tagged.items()
        for key, value in tags.items()
        if not key.startswith("mlflow.")
    }

    assert shown["version", "genres"] == "blues, jazz, rock"
    assert shown["version", "artist_leak"] == "none"
    assert not {key: value for key, value in shown.items() if value[:1] in ("", "{", "[")}
    assert not {key: value for key, value in shown.items() if len(value) > LONGEST}
