"""A classifier with several feature families predicts as the pipeline did, with tags."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from musicnn_weights import pretrained as pretrained
from songs import tone, write

from genre import evaluation
from genre.classifier import Classifier
from genre.cli import main
from genre.core.errors import InputError, ParameterError
from genre.core.params import Params, load_params
from genre.features.musicnn import TAGS
from genre.models.ensemble import Ensemble
from tasks import (
    evaluate,
    features,
    ingest,
    select,
    split,
    train,
    trim,
)
from tasks.io import new_songs, paths

pytestmark = pytest.mark.slow

FAMILIES = ["report", "extended", "musicnn"]


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    """All families, patches that do not overlap, one quick model."""
    params = load_params(project / "params.yaml")
    return params.model_copy(
        update={
            "features": params.features.model_copy(update={"families": FAMILIES}),
            "musicnn": params.musicnn.model_copy(update={"weights": ["msd"], "hop_frames": 187}),
            "train": params.train.model_copy(update={"models": ["lda"], "folds": 2}),
            "compute": params.compute.model_copy(update={"workers": 1}),
            "evaluate": params.evaluate.model_copy(
                update={"bootstrap_samples": 100, "new_songs": "new"}
            ),
        }
    )


@pytest.fixture(scope="module")
def root(params: Params, pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that has run on songs that are their own clips: 22 050 Hz, 30 s or less."""
    root = tmp_path_factory.mktemp("pipeline")
    for number, genre in enumerate(("jazz", "rock")):
        for song in range(8):
            y = tone(12 if song % 3 else 30, seed=100 * number + song)
            y += number * 0.02 * np.random.default_rng(song).standard_normal(y.shape)
            write(root / paths.RAW / genre / f"{song}.wav", y.astype(np.float32))
        write(root / "new" / genre / "0.wav", tone(10, seed=1000 + number))
    (root / paths.PRETRAINED).mkdir(parents=True)
    for weights in pretrained.glob("*.safetensors"):
        (root / paths.PRETRAINED / weights.name).write_bytes(weights.read_bytes())
    for stage in (ingest, trim, features, split):
        stage.run(params, root)
    train.run(params, root, "lda")
    select.run(params, root)
    evaluate.run(params, root)
    return root


@pytest.fixture(scope="module")
def classifier(root: Path) -> Classifier:
    return Classifier.from_folder(root / paths.CLASSIFIER)


def test_the_datasets_of_a_family_can_be_read_as_tables(root: Path) -> None:
    patches = pd.read_parquet(root / "data/features/musicnn/patches")
    segments = pd.read_parquet(root / "data/features/musicnn/3s")
    songs = pd.read_parquet(root / "data/features/musicnn/30s")

    assert len(songs) == 16
    assert len(segments) == len(pd.read_parquet(root / "data/features/extended/3s")) == 160
    assert (patches.groupby("track_id").size() == 10).all()
    assert patches["start_s"].max() == pytest.approx(9 * 187 * 256 / 16_000)
    for table in (patches, segments, songs):
        numbers = table.drop(columns=["track_id", "genre", "segment", "start_s"])
        assert np.isfinite(numbers.to_numpy()).all()
        assert set(numbers.dtypes.astype(str)) == {"float32"}
    mean = patches.groupby("track_id")["msd_tags_jazz"].mean()
    np.testing.assert_allclose(songs.set_index("track_id")["msd_tags_jazz_mean"], mean, rtol=1e-5)


def test_the_predictions_are_those_of_evaluate_for_every_song(
    root: Path, classifier: Classifier
) -> None:
    catalogue = pd.read_parquet(root / paths.CATALOGUE).set_index("track_id")
    predictions = pd.read_parquet(root / "reports/predictions.parquet")
    songs = evaluation.by_song(predictions[predictions["model"] == "lda"])

    assert set(songs["subset"]) == {"train", "validation", "test"}
    for row in songs.to_dict("records"):
        prediction = classifier.classify(root / paths.RAW / catalogue.loc[row["track_id"], "path"])
        found = {choice.genre: choice.probability for choice in prediction.top}
        for genre in classifier.classes:
            assert found[genre] == pytest.approx(row[f"p_{genre}"], abs=1e-5)


def test_tags_are_predicted_if_requested(root: Path, classifier: Classifier) -> None:
    song = next((root / paths.RAW / "jazz").glob("0.*"))

    prediction = classifier.classify(song, tags=4)

    assert classifier.classify(song).tags is None
    assert prediction.tags is not None
    activations = [tag.activation for tag in prediction.tags]
    assert activations == sorted(activations, reverse=True)
    assert len(prediction.tags) == 4
    assert {tag.tag for tag in prediction.tags} <= {tag.lower() for tag in TAGS["msd"]}
    assert prediction.as_dict()["tags"][0] == {
        "tag": prediction.tags[0].tag,
        "activation": prediction.tags[0].activation,
    }
    patches = pd.read_parquet(root / "data/features/musicnn/3s")
    assert (
        0 <= min(activations) <= max(activations) <= patches.filter(like="msd_tags_").max(axis=None)
    )


def test_new_songs_are_predicted_with_all_families(params: Params, root: Path) -> None:
    new_songs.run(params, root)

    predictions = pd.read_parquet(root / "reports/new_songs/predictions.parquet")
    assert predictions["track_id"].nunique() == 2


def test_a_classifier_contains_its_pretrained_weights(
    root: Path, classifier: Classifier, tmp_path: Path
) -> None:
    classifier.ensemble.save(tmp_path / "elsewhere")
    moved = Classifier.from_folder(tmp_path / "elsewhere")
    song = root / paths.RAW / "rock/1.wav"

    assert moved.classify(song) == classifier.classify(song)
    assert [path.name for path in (tmp_path / "elsewhere/pretrained").iterdir()] == [
        "msd.safetensors"
    ]


def test_replaced_weights_are_refused(root: Path, classifier: Classifier, tmp_path: Path) -> None:
    classifier.ensemble.save(tmp_path / "hostile")
    weights = tmp_path / "hostile/pretrained/msd.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    hostile = Classifier.from_folder(tmp_path / "hostile")

    with pytest.raises(InputError, match=r"msd\.safetensors.*damaged, or replaced"):
        hostile.classify(root / paths.RAW / "rock/1.wav")


def test_a_classifier_without_its_weights_is_refused(classifier: Classifier) -> None:
    ensemble = classifier.ensemble
    bare = Ensemble(
        ensemble.name, ensemble.members, ensemble.voting, preprocessing=ensemble.preprocessing
    )

    with pytest.raises(InputError, match="needs the pretrained weights of musicnn and has none"):
        Classifier(bare)


def test_tags_are_refused_by_a_classifier_without_tags(
    params: Params, root: Path, tmp_path: Path
) -> None:
    features_only = params.features.model_copy(update={"families": ["report"]})
    plain = params.model_copy(update={"features": features_only})
    for name in ("data", "reports", "models"):
        (tmp_path / name).symlink_to(root / name)
    model = train.make_model("lda", plain.train)
    data = train.inputs.read_data(root, model.input, plain)
    model.fit(
        data.training_examples(data.mask("train")),
        data.training_examples(data.mask("validation")),
        seed=0,
    )
    preprocessing = {"features": {"families": ["report"], "n_fft": 2048, "hop_length": 512}}
    classifier = Classifier(Ensemble("lda", [model], preprocessing=preprocessing))

    with pytest.raises(ParameterError, match="does not predict tags"):
        classifier.classify(root / paths.RAW / "rock/1.wav", tags=3)


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_the_command_prints_tags_in_every_format(
    root: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    song = root / paths.RAW / "rock/1.wav"
    model = root / paths.CLASSIFIER
    expected = [tag.tag for tag in Classifier.from_folder(model).classify(song, tags=5).tags or ()]
    chosen = [] if form == "table" else [f"--{form}"]

    with pytest.raises(SystemExit) as ended:
        main(["classify", "--model", str(model), "--tags", *chosen, str(song)])

    output = capsys.readouterr().out
    assert not ended.value.code
    if form == "json":
        assert [tag["tag"] for tag in json.loads(output)[0]["tags"]] == expected
    elif form == "csv":
        assert "; ".join(expected) in output
        assert output.startswith("path,genre,probability,genre_2,probability_2,tags,seconds")
    else:
        assert f"sounds like: {expected[0]}" in output
