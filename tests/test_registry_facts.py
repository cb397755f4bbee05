"""What a run left is counted and hashed so that the same gives the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
from registry_project import GENRES, Project, make_project, track_id

from genre.core.errors import InputError
from genre.registry import Pipeline, card, facts
from tasks.io import inputs


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("facts") / "project", confused=("blues", "jazz"))


def pipeline(project: Project, root: Path | None = None) -> Pipeline:
    root = root or project.root
    return Pipeline(
        root=root,
        params=project.params,
        catalogue=root / "data/catalogue.parquet",
        split=root / "data/split.parquet",
        models=root / "models",
        classifier=root / "classifier",
        clips=root / "data/clips",
        selection=root / "reports/selection.json",
        metrics=root / "reports/metrics.json",
        predictions=root / "reports/predictions.parquet",
        figures=root / "reports/figures",
        data=partial(inputs.read_data, root, params=project.params),
    )


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True)


def test_the_catalogue_is_counted(project: Project) -> None:
    summary = facts.summarise(pipeline(project).songs)

    assert summary["songs"] == 18
    assert summary["hours"] == round(18 * 31 / 3600, 3)
    assert summary["genres"] == dict.fromkeys(GENRES, 6)
    assert summary["artists"] == 9
    assert summary["licences"] == {"CC BY 4.0": 9, "unknown": 9}
    assert summary["set_aside"] == 1


def test_the_data_hash_depends_on_songs_and_genres_and_not_on_their_order(project: Project) -> None:
    songs = pipeline(project).songs
    relabelled = songs.assign(genre=songs["genre"].where(songs["track_id"] != track_id("rock", 0)))
    moved = songs.assign(path="elsewhere/" + songs["path"])

    assert facts.data_sha256(songs[::-1]) == facts.data_sha256(songs) == facts.data_sha256(moved)
    assert facts.data_sha256(relabelled) != facts.data_sha256(songs)


def test_the_training_songs_are_those_of_the_training_side(project: Project) -> None:
    trained = facts.training_songs(pipeline(project).songs, pipeline(project).subsets)

    assert trained["track_id"] == project.songs("train")
    assert len(trained["audio_sha256"]) == 9


def test_the_curves_are_no_part_of_the_models_hash_and_the_weights_are(
    project: Project, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(project.root / "models/mlp", tmp_path / "mlp"))
    before = facts.folder_sha256(folder)

    (folder / "history.csv").unlink()
    without_curves = facts.folder_sha256(folder)
    (folder / "weights.safetensors").write_bytes(b"other")

    assert without_curves == before
    assert facts.folder_sha256(folder) != before


def test_a_folder_that_is_not_a_git_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert facts.git_state(tmp_path) == {}


def test_a_checkout_is_dirty_if_code_changed_and_not_if_a_run_wrote(tmp_path: Path) -> None:
    for name in ("code.py", "dvc.lock", "params.yaml"):
        (tmp_path / name).write_text("before")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")

    (tmp_path / "dvc.lock").write_text("after")
    (tmp_path / "params.yaml").write_text("after")
    clean = facts.git_state(tmp_path)
    (tmp_path / "code.py").write_text("after")
    dirty = facts.git_state(tmp_path)

    assert len(clean["git_commit"]) == 40
    assert (clean["git_dirty"], dirty["git_dirty"]) == ("false", "true")


def test_settings_are_flattened_to_text() -> None:
    flat = facts.flatten({"train": {"models": ["mlp"], "mlp": {"dropout": 0.2}}, "name": "x"})

    assert flat == {"train.models": '["mlp"]', "train.mlp.dropout": "0.2", "name": "x"}


def test_a_report_that_selects_no_model_is_bad_input(project: Project, tmp_path: Path) -> None:
    root = Path(shutil.copytree(project.root, tmp_path / "project"))
    (root / "reports/metrics.json").write_text('{"protocol": "song", "models": {}}')

    with pytest.raises(InputError, match="no selected model; run the step evaluate again"):
        _ = pipeline(project, root).selected


def test_the_model_card_has_data_scores_and_weak_genres(project: Project) -> None:
    text = card.write(pipeline(project))

    assert text.startswith("# music-genre: mlp\n")
    assert "Predicts the genre of a song, one of blues, jazz, rock" in text
    text = " ".join(text.split())
    assert "| blues | 3 | 2 | 1 |" in text
    assert "| CC BY 4.0 | 9 |" in text
    assert "| test | song | 3 | 0.333 [0.000, 1.000] | 0.333 [" in text
    assert "| blues | 1 | 0.00 | 0.00 | 0.00 | jazz |" in text
    assert "| rock | 1 | 1.00 | 1.00 | 1.00 | nothing else |" in text
    assert text.index("| blues | 1 | 0.00") < text.index("| rock | 1 | 1.00")
    assert " ".join(card.write(pipeline(project)).split()) == text


def test_the_card_names_what_flatters_the_figures(project: Project) -> None:
    leaky = pipeline(project)
    leaky.report["protocol"] = "segment"
    leaky.report["artist_leak"] = ["jazz"]

    text = card.write(leaky)

    assert "In jazz songs of one artist may be in several subsets" in text
    assert "Its split leaks, so it is never promoted to champion." in text


def test_the_card_of_a_synthetic_collection_is_labelled(project: Project) -> None:
    demo = pipeline(project)
    before = card.write(demo)
    path = demo.classifier / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"synthetic": True}))

    assert "made by arithmetic" in card.write(pipeline(project))
    assert "made by arithmetic" not in before


def test_figures_of_every_metric_with_an_interval_have_its_ends() -> None:
    from genre.registry.runs import flatten_metrics

    level = {"accuracy": 0.5, "n": 4, "ci95": [0.25, 0.75], "f1_macro_ci95": [0.2, 0.6]}

    assert dict(flatten_metrics({"test": {"song": level}})) == {
        "test_song/accuracy": 0.5,
        "test_song/n": 4.0,
        "test_song/accuracy_low": 0.25,
        "test_song/accuracy_high": 0.75,
        "test_song/f1_macro_low": 0.2,
        "test_song/f1_macro_high": 0.6,
    }
