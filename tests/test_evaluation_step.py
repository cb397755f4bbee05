"""The step evaluate, on a small model that was really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from params_file import with_families
from songs import write_no_duplicates

from genre import evaluation
from genre.core.errors import InputError
from genre.core.files import write_parquet
from genre.core.params import Params, load_params
from genre.models.ensemble import Ensemble
from tasks import evaluate, select, split, train
from tasks.io import paths

GENRES = ("blues", "disco", "jazz", "rock")
COLUMNS = ("rms_mean", "tempo", "mfcc1_mean")


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    params = with_families(load_params(project / "params.yaml"), "report")
    mlp = params.train.mlp.model_copy(
        update={"hidden": [8], "learning_rate": 0.01, "max_epochs": 4, "batch_size": 16}
    )
    small = params.train.model_copy(update={"mlp": mlp, "folds": 3, "models": ["mlp", "lda"]})
    compute = params.compute.model_copy(update={"workers": 1})
    draws = params.evaluate.model_copy(update={"bootstrap_samples": 200})
    return params.model_copy(update={"train": small, "evaluate": draws, "compute": compute})


@pytest.fixture
def root(evaluated: Path, tmp_path: Path) -> Path:
    """A project with ten songs a genre, split, trained and evaluated."""
    return Path(shutil.copytree(evaluated, tmp_path / "project"))


@pytest.fixture(scope="module")
def evaluated(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that `root` is a copy of."""
    root = tmp_path_factory.mktemp("evaluated")
    random = np.random.default_rng(0)
    songs = pd.DataFrame(
        {
            "track_id": [f"{genre}{number}" for genre in GENRES for number in range(10)],
            "genre": np.repeat(GENRES, 10),
        }
    )
    facts = {"artist": "", "status": "ok", "duplicate_of": None, "source": "synthetic demo song 1"}
    catalogue = songs.assign(path=songs["genre"] + "/" + songs["track_id"] + ".wav", **facts)
    write_parquet(root / paths.CATALOGUE, catalogue)
    features = songs.loc[songs.index.repeat(10)].reset_index(drop=True)
    features["segment"] = np.tile(np.arange(10), len(songs))
    features["start_s"] = features["segment"] * 3.0
    place = features["genre"].map({genre: n for n, genre in enumerate(GENRES)}).to_numpy()
    for column in COLUMNS:
        features[column] = random.normal(place, 1.0, len(features)) + 10
    write_parquet(root / paths.REPORT_3S / "part-0.parquet", features)
    write_no_duplicates(root)
    split.run(params, root)
    train_all(params, root)
    evaluate.run(params, root)
    return root


def train_all(params: Params, root: Path) -> None:
    for name in params.train.models:
        train.run(params, root, name)
    select.run(params, root)


def metrics(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "reports" / "metrics.json").read_text())
    return found


def test_it_writes_metrics_in_the_documented_format(params: Params, root: Path) -> None:
    summary = evaluate.run(params, root)
    found = metrics(root)
    known = {"protocol", "artist_leak", "models", "selected", "baseline", "calibration"}
    assert set(found) == known
    assert found["baseline"] == "mlp"
    assert (found["protocol"], found["artist_leak"]) == ("song", [])
    models, name = found["models"], found["selected"]
    assert isinstance(models, dict)
    assert {"lda", "mlp"} <= set(models) <= {"lda", "mlp", "vote"}
    for subsets in models.values():
        assert set(subsets) == {"train", "validation", "test"}
        assert all(set(levels) == {"segment", "song"} for levels in subsets.values())
    scores = models[name]["test"]["song"]
    assert scores["n"] == 6
    low, high = scores["ci95"]
    assert summary == (
        f"{name}: {100 * scores['accuracy']:.1f} % of 6 test songs right "
        f"(95 % interval {100 * low:.1f}–{100 * high:.1f})"
    )


def test_the_file_that_dvc_shows_is_flat_and_of_the_selected_model(root: Path) -> None:
    report, shown = metrics(root), json.loads((root / evaluate.SUMMARY).read_text())
    scores = report["models"][report["selected"]]["test"]["song"]
    low, high = scores["ci95"]
    assert shown == {
        "model": report["selected"],
        "protocol": "song",
        "subset": "test",
        "songs": 6,
        "accuracy": scores["accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        "f1_macro": scores["f1_macro"],
        "calibration_error": report["calibration"]["test"]["at its temperatures"]["ece"],
    }


def test_of_too_few_songs_no_calibration_error_is_shown() -> None:
    scores = {"n": 3, "accuracy": 0.8, "ci95": [0.6, 0.9], "f1_macro": 0.7}
    report = {
        "protocol": "song",
        "selected": "lda",
        "models": {"lda": {"validation": {"song": scores}}},
        "calibration": {"held_out": {}, "validation": {}},
    }

    shown = evaluate.headline(report, "validation")

    assert shown["subset"] == "validation"
    assert "calibration_error" not in shown


def test_it_writes_a_prediction_for_every_segment_that_is_not_excluded(
    params: Params, root: Path
) -> None:
    table = pd.read_parquet(root / paths.SPLIT)
    attrs = table.attrs
    table.loc[table["track_id"] == "jazz3", "subset"] = "excluded"
    table.attrs = attrs
    write_parquet(root / paths.SPLIT, table)
    evaluate.run(params, root)
    found = pd.read_parquet(root / "reports" / "predictions.parquet")
    assert list(found) == [
        *("model", "track_id", "segment", "group", "subset", "genre", "temperature"),
        *(f"p_{genre}" for genre in GENRES),
    ]
    assert "jazz3" not in set(found["track_id"])
    models = metrics(root)["models"]
    assert isinstance(models, dict)
    assert set(models) == set(found["model"])
    for name, rows in found.groupby("model"):
        assert len(rows) == 390
        evaluation.validate(rows)
        assert models[name] == evaluation.evaluate(rows, samples=200, seed=0)


def test_it_writes_plot_data_and_figures_of_the_test_songs(root: Path) -> None:
    plots = root / "reports" / "plots"
    confusion = pd.read_csv(plots / "confusion.csv")
    assert list(confusion) == ["actual", "predicted"]
    assert len(confusion) == 6
    assert list(pd.read_csv(plots / "curves_mlp.csv")) == [
        *("epoch", "loss_train", "loss_validation", "accuracy_train", "accuracy_validation"),
    ]
    assert pd.read_csv(plots / "genres.csv")["genre"].tolist() == list(GENRES)
    assert list(pd.read_csv(plots / "most_confused.csv")) == ["actual", "predicted", "n", "share"]
    figures = {path.name for path in (root / "reports" / "figures").iterdir()}
    assert figures == {
        "calibration_held_out.png",
        "calibration_test.png",
        "confusion.png",
        "curves_mlp.png",
        "genres.png",
    }


def test_calibration_brings_confidence_nearer_to_accuracy(root: Path) -> None:
    calibration = metrics(root)["calibration"]
    assert isinstance(calibration, dict)
    assert set(calibration) == {"held_out", "test"}
    before, after = (
        calibration["held_out"][name] for name in ("as trained", "at its temperatures")
    )
    assert before["n"] == after["n"] == 34
    assert after["ece"] <= before["ece"] + 0.02
    assert after["consistent"]


def test_the_figures_are_those_of_the_selected_classifier(root: Path) -> None:
    # given the classifier that select wrote
    classifier = Ensemble.load(root / "classifier")
    assert metrics(root)["selected"] == classifier.name
    # when it predicts the test songs, then the predictions are those of the report
    table = pd.read_parquet(root / "reports" / "predictions.parquet")
    songs = evaluation.by_song(table[table["model"] == classifier.name])
    songs = songs[songs["subset"] == "test"].set_index("track_id")
    features = pd.read_parquet(root / paths.REPORT_3S)
    for track_id, rows in features[features["track_id"].isin(songs.index)].groupby("track_id"):
        prediction = classifier.song(classifier.proba({"features_3s": rows}))
        expected = evaluation.probabilities(songs.loc[[track_id]])[0]
        np.testing.assert_allclose(prediction, expected, atol=1e-9)


def test_without_test_songs_the_figures_are_of_validation_songs(params: Params, root: Path) -> None:
    table = pd.read_parquet(root / paths.SPLIT)
    attrs = table.attrs
    table = table.assign(subset=table["subset"].replace("test", "excluded"))
    table.attrs = attrs
    write_parquet(root / paths.SPLIT, table)
    assert "validation songs right" in evaluate.run(params, root)
    models = metrics(root)["models"]
    assert isinstance(models, dict)
    assert set(models["mlp"]) == {"train", "validation"}


@pytest.mark.slow
def test_two_runs_write_the_same_bytes(params: Params, root: Path) -> None:
    runs = []
    for _ in range(2):
        evaluate.run(params, root)
        files = (path for path in (root / "reports").rglob("*") if path.is_file())
        runs.append({path.relative_to(root): path.read_bytes() for path in files})
    assert runs[0] == runs[1]
    assert len(runs[0]) == 15


def test_a_model_that_was_not_trained_is_named(params: Params, root: Path) -> None:
    (root / "models" / "mlp" / "model.json").unlink()
    (root / "reports" / "metrics.json").unlink()
    with pytest.raises(InputError, match="no trained model here"):
        evaluate.run(params, root)
    assert not (root / "reports" / "metrics.json").exists()


def test_without_a_choice_the_step_to_run_is_named(params: Params, root: Path) -> None:
    (root / paths.SELECTION).unlink()
    with pytest.raises(InputError, match="dvc repro select"):
        evaluate.run(params, root)
    (root / "models" / "lda" / "held_out.parquet").unlink()
    with pytest.raises(InputError, match="dvc repro train"):
        select.run(params, root)


def test_test_songs_change_nothing_in_the_choice(params: Params, root: Path) -> None:
    def chosen() -> dict[Path, bytes]:
        files = [*(root / "classifier").rglob("*"), root / paths.SELECTION]
        return {path: path.read_bytes() for path in files if path.is_file()}

    before = chosen()
    features = pd.read_parquet(root / paths.REPORT_3S)
    sides = pd.read_parquet(root / paths.SPLIT).set_index("track_id")["subset"]
    tested = features["track_id"].map(sides) == "test"
    features.loc[tested, list(COLUMNS)] += 1000
    write_parquet(root / paths.REPORT_3S / "part-0.parquet", features)
    train_all(params, root)
    assert chosen() == before


def test_a_split_without_a_protocol_is_refused(params: Params, root: Path) -> None:
    table = pd.read_parquet(root / paths.SPLIT)
    table.attrs = {}
    write_parquet(root / paths.SPLIT, table)
    with pytest.raises(InputError, match="has no settings"):
        evaluate.run(params, root)
    (root / paths.SPLIT).unlink()
    with pytest.raises(InputError, match="run the step split first"):
        evaluate.run(params, root)


@pytest.mark.slow
def test_the_leaky_protocol_runs_and_is_labelled_as_leaky(params: Params, root: Path) -> None:
    settings = params.split.model_copy(update={"protocol": "segment"})
    leaky = params.model_copy(update={"split": settings})
    split.run(leaky, root)
    train_all(leaky, root)
    evaluate.run(leaky, root)
    found = metrics(root)
    assert (found["protocol"], found["artist_leak"]) == ("segment", list(GENRES))
    rows = pd.read_parquet(root / "reports" / "predictions.parquet")
    assert Ensemble.load(root / "classifier").protocol == "segment"
    assert rows.groupby("track_id")["subset"].nunique().max() == 3
