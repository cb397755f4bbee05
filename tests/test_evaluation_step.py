"""The step evaluate, on a small model that was really trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genre import evaluation
from genre.errors import InputError
from genre.files import write_parquet
from genre.params import Params, load_params
from tasks import evaluate, paths, split, train

GENRES = ("blues", "disco", "jazz", "rock")
COLUMNS = ("rms_mean", "tempo", "mfcc1_mean")


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    params = load_params(project / "params.yaml")
    mlp = params.train.mlp.model_copy(
        update={"hidden": [8], "learning_rate": 0.01, "max_epochs": 4, "batch_size": 16}
    )
    small = params.train.model_copy(update={"mlp": mlp})
    draws = params.evaluate.model_copy(update={"bootstrap_samples": 200})
    return params.model_copy(update={"train": small, "evaluate": draws})


@pytest.fixture
def root(params: Params, tmp_path: Path) -> Path:
    """A project with ten songs a genre, split and trained."""
    random = np.random.default_rng(0)
    songs = pd.DataFrame(
        {
            "track_id": [f"{genre}{number}" for genre in GENRES for number in range(10)],
            "genre": np.repeat(GENRES, 10),
        }
    )
    facts = {"artist": "", "status": "ok", "duplicate_of": None, "source": "synthetic demo song 1"}
    catalogue = songs.assign(path=songs["genre"] + "/" + songs["track_id"] + ".wav", **facts)
    write_parquet(tmp_path / paths.CATALOGUE, catalogue)
    features = songs.loc[songs.index.repeat(10)].reset_index(drop=True)
    features["segment"] = np.tile(np.arange(10), len(songs))
    features["start_s"] = features["segment"] * 3.0
    place = features["genre"].map({genre: n for n, genre in enumerate(GENRES)}).to_numpy()
    for column in COLUMNS:
        features[column] = random.normal(place, 1.0, len(features)) + 10
    write_parquet(tmp_path / paths.FEATURES_3S / "part-0.parquet", features)
    split.run(params, tmp_path)
    train.run(params, tmp_path, "mlp")
    return tmp_path


def metrics(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / "reports" / "metrics.json").read_text())
    return found


def test_it_writes_metrics_as_the_contract_says(params: Params, root: Path) -> None:
    summary = evaluate.run(params, root)
    found = metrics(root)
    assert set(found) == {"protocol", "artist_leak", "models", "selected"}
    assert (found["protocol"], found["selected"], found["artist_leak"]) == ("song", "mlp", [])
    models = found["models"]
    assert isinstance(models, dict)
    assert set(models["mlp"]) == {"train", "validation", "test"}
    assert all(set(levels) == {"segment", "song"} for levels in models["mlp"].values())
    scores = models["mlp"]["test"]["song"]
    assert scores["n"] == 6
    low, high = scores["ci95"]
    assert summary == (
        f"mlp: {100 * scores['accuracy']:.1f} % of 6 test songs right "
        f"(95 % interval {100 * low:.1f}–{100 * high:.1f})"
    )


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
        *("model", "track_id", "segment", "group", "subset", "genre"),
        *(f"p_{genre}" for genre in GENRES),
    ]
    assert len(found) == 390
    assert "jazz3" not in set(found["track_id"])
    evaluation.validate(found)
    scores = evaluation.evaluate(found, samples=200, seed=0)
    assert metrics(root)["models"] == {"mlp": scores}


def test_it_writes_plot_data_and_figures_of_the_test_songs(params: Params, root: Path) -> None:
    evaluate.run(params, root)
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
    assert figures == {"confusion.png", "curves_mlp.png", "genres.png"}


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


def test_two_runs_write_the_same_bytes(params: Params, root: Path) -> None:
    runs = []
    for _ in range(2):
        evaluate.run(params, root)
        files = (path for path in (root / "reports").rglob("*") if path.is_file())
        runs.append({path.relative_to(root): path.read_bytes() for path in files})
    assert runs[0] == runs[1]
    assert len(runs[0]) == 9


def test_a_model_that_was_not_trained_is_named(params: Params, root: Path) -> None:
    (root / "models" / "mlp" / "model.json").unlink()
    with pytest.raises(InputError, match="no trained model here"):
        evaluate.run(params, root)
    assert not (root / "reports").exists()


def test_a_split_that_does_not_say_its_protocol_is_refused(params: Params, root: Path) -> None:
    table = pd.read_parquet(root / paths.SPLIT)
    table.attrs = {}
    write_parquet(root / paths.SPLIT, table)
    with pytest.raises(InputError, match="which protocol it was made with"):
        evaluate.run(params, root)
    (root / paths.SPLIT).unlink()
    with pytest.raises(InputError, match="run the step split first"):
        evaluate.run(params, root)


def test_the_leaky_protocol_runs_through_the_steps_and_says_so(params: Params, root: Path) -> None:
    settings = params.split.model_copy(update={"protocol": "segment"})
    leaky = params.model_copy(update={"split": settings})
    split.run(leaky, root)
    train.run(leaky, root, "mlp")
    evaluate.run(leaky, root)
    found = metrics(root)
    assert (found["protocol"], found["artist_leak"]) == ("segment", list(GENRES))
    rows = pd.read_parquet(root / "reports" / "predictions.parquet")
    assert rows.groupby("track_id")["subset"].nunique().max() == 3
