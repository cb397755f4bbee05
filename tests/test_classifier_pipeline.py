"""The classifier's predictions for the pipeline's clips are those of the step evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from params_file import with_families
from songs import tone, write

from genre import evaluation
from genre.classifier import Classifier
from genre.core.params import Params, load_params
from genre.models import load_model
from genre.models.ensemble import Ensemble
from genre.soft_voting import SoftVoting
from tasks import (
    evaluate,
    features,
    ingest,
    select,
    spectrograms,
    split,
    train,
    trim,
)
from tasks.io import paths

pytestmark = pytest.mark.slow

ROUNDING = 2e-6  # float32 sums of networks depend on the batch


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    """All kinds of models, trained for a moment."""
    params = with_families(load_params(project / "params.yaml"), "report")
    short = {"max_epochs": 2, "batch_size": 16}
    models = params.train
    changed = {
        "models": ["mlp"],
        "picture_models": ["cnn", "resnet"],
        "folds": 2,
        "mlp": models.mlp.model_copy(update=short | {"hidden": [32]}),
        "cnn": models.cnn.model_copy(update=short),
        "resnet": models.resnet.model_copy(update=short | {"width": 4}),
    }
    return params.model_copy(
        update={
            "train": models.model_copy(update=changed),
            "compute": params.compute.model_copy(update={"workers": 1}),
            "evaluate": params.evaluate.model_copy(update={"bootstrap_samples": 100}),
        }
    )


@pytest.fixture(scope="module")
def root(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that has run: songs of more and of less than 30 s, one with a silent part."""
    root = tmp_path_factory.mktemp("pipeline")
    for number, genre in enumerate(("jazz", "rock")):
        for song in range(10):
            y = tone(8 if song % 3 else 33, seed=100 * number + song, rate=16_000)
            y += number * 0.02 * np.random.default_rng(song).standard_normal(y.shape)
            if song % 4 == 0:
                y[len(y) // 3 : -len(y) // 3] = 0
            write(root / paths.RAW / genre / f"{song}.flac", y.astype(np.float32), rate=16_000)
    for stage in (ingest, trim, spectrograms, features, split):
        stage.run(params, root)
    for name in params.train.names:
        train.run(params, root, name)
    select.run(params, root)
    evaluate.run(params, root)
    return root


def classifiers(params: Params, root: Path) -> dict[str, Classifier]:
    """Each candidate of the selection; the chosen one as it was saved."""
    found = {}
    for name, one in json.loads((root / paths.SELECTION).read_text())["models"].items():
        members = [load_model(root / paths.MODELS / member["name"]) for member in one["members"]]
        temperature, weight = (
            [m[key] for m in one["members"]] for key in ("temperature", "weight")
        )
        candidate = Ensemble(
            name,
            members,
            SoftVoting(tuple(temperature), tuple(weight)),
            temperature=one["temperature"],
            preprocessing=select.preprocessing_of(
                params, ["report"], {member.input for member in members}
            ),
        )
        found[name] = Classifier(candidate)
    chosen = Classifier.from_folder(root / paths.CLASSIFIER)
    assert chosen.ensemble.name in found
    return {**found, chosen.ensemble.name: chosen}


def test_every_test_song_is_predicted_as_by_evaluate(params: Params, root: Path) -> None:
    table = pd.read_parquet(root / paths.REPORTS / "predictions.parquet")
    table = table[table["subset"] == "test"].sort_values(["track_id", "segment"])
    assert table["track_id"].nunique() >= 2

    for name, classifier in classifiers(params, root).items():
        mine = table[table["model"] == name]
        assert not mine.empty
        songs = evaluation.by_song(mine).set_index("track_id")
        columns = [f"p_{genre}" for genre in classifier.classes]
        for track_id, rows in mine.groupby("track_id"):
            clip = root / paths.CLIPS / f"{track_id}.flac"
            prediction = classifier.classify(clip, top=2, timeline=True)

            moments = prediction.timeline or ()
            assert [moment.start_s for moment in moments] == [3 * n for n in rows["segment"]]
            found = [[m.probabilities[genre] for genre in classifier.classes] for m in moments]
            np.testing.assert_allclose(found, rows[columns], rtol=0, atol=ROUNDING)
            for choice in prediction.top:
                expected = songs.loc[track_id, f"p_{choice.genre}"]
                assert choice.probability == pytest.approx(expected, abs=ROUNDING)
