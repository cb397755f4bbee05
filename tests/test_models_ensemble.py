"""Held-out predictions, the vote, the choice among models, and the classifier that comes of it."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genre import evaluation
from genre.core.errors import InputError
from genre.core.params import TrainParams, load_params
from genre.core.workers import WorkerError
from genre.evaluation.selection import fit_voting, fit_weights
from genre.models.base import Examples, Model
from genre.models.data import FeatureData, PictureData
from genre.models.ensemble import Ensemble
from genre.models.folds import NO_FOLD, fold_numbers, predict_out_of_fold
from genre.models.lda import Lda
from genre.models.svm import Svm
from genre.soft_voting import SoftVoting

GENRES = ("blues", "jazz", "metal", "rock")
COLUMNS = ("a", "b", "c", "d", "e")
DRAWN = {"samples": 100, "seed": 0}


@pytest.fixture(scope="module")
def params(project: Path) -> TrainParams:
    return load_params(project / "params.yaml").train


def make_keys(songs: int = 6, segments: int = 10) -> pd.DataFrame:
    """`songs` a genre, two of them by each artist; the last two are for validation."""
    rows = [
        {
            "track_id": f"{genre}{song}",
            "segment": segment,
            "genre": genre,
            "group": f"{genre} band {song // 2}",
            "subset": "validation" if song >= songs - 2 else "train",
        }
        for genre in GENRES
        for song in range(songs)
        for segment in range(segments)
    ]
    return pd.DataFrame(rows)


def make_data(skill: float = 2.0, *, by_segment: bool = False) -> FeatureData:
    keys = make_keys()
    random = np.random.default_rng(0)
    X = random.normal(0, 1, (len(keys), len(COLUMNS)))
    X[np.arange(len(keys)), keys["genre"].map(GENRES.index).to_numpy()] += skill
    return FeatureData(keys, pd.DataFrame(X, columns=list(COLUMNS)), by_segment=by_segment)


def everything(data: FeatureData | PictureData) -> Any:
    return np.ones(len(data.keys), dtype=bool)


# Folds


def test_no_group_is_split_by_a_fold_and_every_genre_is_trained_on() -> None:
    train = make_data().training_examples(everything(make_data()))
    number = fold_numbers(train, folds=3, seed=0)
    for group in np.unique(train.groups):
        assert len(set(number[train.groups == group])) == 1
    for fold in range(3):
        assert not train.take(number != fold).absent()
        assert not train.take(number == fold).absent()


def test_a_genre_of_one_artist_is_always_trained_on_and_never_predicted() -> None:
    train = make_data().training_examples(everything(make_data()))
    groups = np.where(train.y == 2, "one artist", train.groups)
    lonely = Examples(train.X, train.y, groups, train.classes, train.features)
    number = fold_numbers(lonely, folds=3, seed=0)
    assert set(number[lonely.y == 2]) == {NO_FOLD}
    assert NO_FOLD not in number[lonely.y != 2]


def test_one_artist_for_each_genre_is_refused() -> None:
    train = make_data().training_examples(everything(make_data()))
    artists = Examples(train.X, train.y, train.y.astype(str), train.classes, train.features)
    with pytest.raises(InputError, match="at least two of a genre"):
        fold_numbers(artists, folds=3, seed=0)


class ByHeart(Lda):
    """Fails if it predicts a row that it was trained on."""

    seen: frozenset[float]

    def _fit(self, train: Examples, validation: Examples, *_: Any) -> None:
        self.seen = frozenset([*train.X[:, 0].tolist(), *validation.X[:, 0].tolist()])

    def _predict(self, X: Any) -> Any:
        assert not self.seen & set(X[:, 0].tolist())
        return np.full((len(X), len(self.classes)), 1 / len(self.classes))


@pytest.mark.parametrize("stops_early", [False, True])
def test_rows_are_predicted_by_models_that_have_not_seen_their_artist(
    params: TrainParams, stops_early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given features that name the artist
    data = make_data()
    data.X["a"] = pd.factorize(data.keys["group"])[0].astype(float)
    monkeypatch.setattr(ByHeart, "stops_early", stops_early)
    # when every fold is predicted, then no model predicts an artist that it was trained on
    found = predict_out_of_fold(
        lambda: ByHeart(params.lda), data, everything(data), folds=3, seed=0
    )
    assert len(found) == len(data.keys)
    np.testing.assert_allclose(evaluation.probabilities(found), 0.25)


def test_if_songs_are_split_only_the_segment_itself_is_unseen(params: TrainParams) -> None:
    data = make_data(by_segment=True)
    data.X["a"] = np.arange(len(data.keys), dtype=float)
    found = predict_out_of_fold(
        lambda: ByHeart(params.lda), data, everything(data), folds=3, seed=0
    )
    assert len(found) == len(data.keys)


def test_rows_outside_the_mask_are_neither_trained_on_nor_predicted(
    params: TrainParams,
) -> None:
    data, other = make_data(), make_data()
    other.X.loc[other.mask("validation"), "a"] += 1000
    tables = [
        predict_out_of_fold(lambda: Lda(params.lda), one, one.mask("train"), folds=2, seed=0)
        for one in (data, other)
    ]
    assert set(tables[0]["subset"]) == {"train"}
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(params: TrainParams) -> None:
    data = make_data()
    tables = [
        predict_out_of_fold(
            partial(Lda, params.lda), data, everything(data), folds=3, seed=0, workers=workers
        )
        for workers in (1, 2)
    ]
    pd.testing.assert_frame_equal(*tables)


class TooBig(Lda):
    """A model whose training the system ends for lack of memory."""

    def _fit(self, *_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_fold_whose_process_ends_is_named(params: TrainParams) -> None:
    data = make_data()
    with pytest.raises(
        WorkerError, match=r"fold 1 of 3: crashed its worker process \(exit code -9"
    ):
        predict_out_of_fold(
            partial(TooBig, params.lda), data, everything(data), folds=3, seed=0, workers=2
        )


# Pictures


def picture_of(track_id: str) -> Any:
    """One channel, 32 bands, 320 frames; each segment has a grey of its own."""
    grey = sum(track_id.encode()) % 20 * 10
    return np.repeat(np.arange(grey, grey + 10), 32).astype(np.uint8) * np.ones((1, 32, 1), "uint8")


def test_pictures_are_trained_on_as_clips_and_predicted_as_segments() -> None:
    data = PictureData(make_keys(), picture_of)
    rows = data.mask("validation") & (data.keys["segment"] != 3).to_numpy()
    assert data.training_examples(rows).X.shape == (8, 1, 32, 320)
    inputs = data.inputs(rows)
    assert inputs.shape == (72, 1, 32, 32)
    expected = [
        picture_of(row.track_id)[0, 0, 32 * row.segment] for row in data.keys[rows].itertuples()
    ]
    assert (inputs == np.array(expected)[:, None, None, None]).all()


def test_if_songs_are_split_training_examples_are_segments() -> None:
    data = PictureData(make_keys(), picture_of, by_segment=True)
    rows = (data.keys["segment"] < 2).to_numpy()
    examples = data.training_examples(rows)
    assert examples.X.shape == (48, 1, 32, 32)
    np.testing.assert_array_equal(examples.X, data.inputs(rows))


# The vote


def test_the_weights_make_the_true_genres_likeliest() -> None:
    generator = np.random.default_rng(1)
    right = generator.uniform(0.05, 0.9, size=(2, 400))
    weight = fit_weights(right)[0]
    tried = np.linspace(0, 1, 2001)
    losses = [-np.log(w * right[0] + (1 - w) * right[1]).mean() for w in tried]
    assert weight == pytest.approx(tried[int(np.argmin(losses))], abs=1e-3)


def test_a_member_at_chance_gets_almost_no_weight() -> None:
    weights = fit_weights(np.stack([np.full(200, 0.9), np.full(200, 0.25)]))
    np.testing.assert_allclose(weights, [1, 0], atol=1e-6)


def test_an_overconfident_member_gets_a_temperature_above_one() -> None:
    random = np.random.default_rng(0)
    true = random.dirichlet(np.ones(3), 2000)
    truth = np.array([random.choice(3, p=row) for row in true])
    sure = true**2 / (true**2).sum(axis=1, keepdims=True)
    voting = fit_voting([true, sure], truth)
    assert voting.temperatures == pytest.approx((1, 2), rel=0.1)
    assert sum(voting.weights) == pytest.approx(1)


# The choice


def out_of_fold(skill: float, seed: int, name: str) -> pd.DataFrame:
    """Predictions for every song of `make_keys`, the better the more skill."""
    keys = make_keys(12)
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1, (len(keys), len(GENRES)))
    logits[np.arange(len(keys)), keys["genre"].map(GENRES.index).to_numpy()] += skill
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return evaluation.make(keys, proba, GENRES, name)


def test_the_model_with_the_best_songs_is_chosen() -> None:
    tables = {"svm": out_of_fold(0.3, 0, "svm"), "mlp": out_of_fold(1.0, 1, "mlp")}
    found = evaluation.candidates(tables, vote=False, **DRAWN)
    assert evaluation.select(found).name == "mlp"
    scores = {one.name: one.scores["f1_macro"] for one in found}
    assert scores["mlp"] > scores["svm"]


def test_between_equals_the_earlier_one_is_chosen() -> None:
    tables = {"svm": out_of_fold(1, 0, "svm"), "mlp": out_of_fold(1, 0, "mlp")}
    found = evaluation.candidates(tables, vote=False, **DRAWN)
    assert evaluation.select(found).name == "svm"


def test_the_vote_is_a_candidate_without_members_at_chance() -> None:
    tables = {
        "svm": out_of_fold(0.4, 0, "svm"),
        "mlp": out_of_fold(0.4, 1, "mlp"),
        "lda": out_of_fold(-3.0, 2, "lda"),
    }
    found = {one.name: one for one in evaluation.candidates(tables, vote=True, **DRAWN)}
    assert found["vote"].members == ("svm", "mlp")
    assert sum(found["vote"].voting.weights) == pytest.approx(1)
    assert found["vote"].scores["f1_macro"] > found["svm"].scores["f1_macro"]


def test_a_vote_of_one_is_not_a_candidate() -> None:
    tables = {"svm": out_of_fold(2.0, 0, "svm"), "lda": out_of_fold(-3.0, 2, "lda")}
    found = evaluation.candidates(tables, vote=True, **DRAWN)
    assert [one.name for one in found] == ["svm", "lda"]


def test_models_are_compared_on_the_songs_that_all_have_predicted() -> None:
    fewer = out_of_fold(1.0, 1, "mlp")
    fewer = fewer[fewer["subset"] == "validation"]
    tables = {"svm": out_of_fold(0.3, 0, "svm"), "mlp": fewer}
    found = evaluation.candidates(tables, vote=True, **DRAWN)
    assert {one.scores["n"] for one in found} == {8}


def test_models_of_different_genres_are_not_candidates_together() -> None:
    other = out_of_fold(1.0, 1, "mlp").rename(columns={"p_rock": "p_pop"})
    with pytest.raises(InputError, match="different genres"):
        evaluation.candidates({"svm": out_of_fold(1, 0, "svm"), "mlp": other}, vote=True, **DRAWN)


# The classifier


@pytest.fixture(scope="module")
def members(params: TrainParams) -> list[Model]:
    data = make_data()
    found: list[Model] = [Lda(params.lda), Svm(params.svm)]
    for model in found:
        model.fit(
            data.training_examples(data.mask("train")),
            data.training_examples(data.mask("validation")),
            seed=0,
        )
    return found


def test_it_is_saved_and_loaded_without_a_difference(members: list[Model], tmp_path: Path) -> None:
    preprocessing = {"features": {"n_fft": 2048, "hop_length": 512}}
    made = Ensemble(
        "vote",
        members,
        SoftVoting((2.0, 1.5), (0.25, 0.75)),
        temperature=1.2,
        protocol="song",
        preprocessing=preprocessing,
    )
    made.save(tmp_path / "classifier")
    found = Ensemble.load(tmp_path / "classifier")
    X = make_data().X
    assert (found.preprocessing, found.protocol, found.inputs) == (
        preprocessing,
        "song",
        ("features_3s",),
    )
    np.testing.assert_array_equal(found.proba({"features_3s": X}), made.proba({"features_3s": X}))
    proba = found.proba({"features_3s": X[:10]})
    np.testing.assert_allclose(found.song(proba).sum(), 1)


def test_its_predictions_for_songs_are_those_of_the_evaluation(members: list[Model]) -> None:
    data = make_data()
    voting = SoftVoting((2.0, 1.5), (0.25, 0.75))
    made = Ensemble("vote", members, voting, temperature=1.7)
    tables = [data.predict(member, everything(data)) for member in members]
    table = evaluation.vote(tables, voting, name="vote", temperature=1.7)
    songs = evaluation.by_song(table).set_index("track_id")
    for track_id, rows in data.keys.groupby("track_id"):
        found = made.song(made.proba({"features_3s": data.X.loc[rows.index]}))
        expected = evaluation.probabilities(songs.loc[[track_id]])[0]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_missing_features_are_named(members: list[Model]) -> None:
    made = Ensemble("lda", members[:1])
    with pytest.raises(InputError, match=r"features that are missing \(c\)"):
        made.proba({"features_3s": make_data().X.drop(columns="c")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "temperature: Input should be greater than 0"),
        ({"format": 2}, "format: Input should be 1"),
        ({"classes": ["jazz", "rock"]}, "its genres are not those of its models"),
        ({"members": []}, "members: List should have at least 1 item"),
    ],
)
def test_a_damaged_description_is_refused(
    members: list[Model], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    Ensemble("lda", members[:1]).save(tmp_path / "classifier")
    path = tmp_path / "classifier" / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        Ensemble.load(tmp_path / "classifier")


def test_a_folder_without_a_classifier_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no classifier here \(classifier\.json is missing\)"):
        Ensemble.load(tmp_path)
