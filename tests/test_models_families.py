"""The scikit-learn models: one interface, and predictions equal to scikit-learn's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.special import expit
from scipy.stats import yeojohnson
from sklearn.datasets import make_blobs
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PowerTransformer
from sklearn.svm import SVC

from genre.core.errors import InputError
from genre.core.params import TrainParams, load_params
from genre.models import load_model, make_model, serialization
from genre.models.base import Examples, Model
from genre.models.boosting import Boosting
from genre.models.lda import Lda
from genre.models.logistic import Logistic
from genre.models.normalise import LIMIT, Normaliser, Whitener, likeliest_power, yeo_johnson
from genre.models.pairwise import couple, fit_sigmoids, pairs
from genre.models.svm import Svm

GENRES = ("blues", "jazz", "metal", "rock")
FEATURES = tuple(f"feature{number}" for number in range(5))
NAMES = ("lda", "logistic", "svm", "boosting")


def fewer_of_one(examples: Examples) -> Examples:
    """Without three quarters of the first genre."""
    return examples.take((examples.y != 0) | (np.arange(len(examples)) < 10))


def songs(seed: int, *, genres: int = 4, each: int = 40, spread: float = 2.0) -> Examples:
    """Segments, five of a song, on skewed scales as features have them."""
    centers = np.eye(4, 5)[:genres] * 4
    X, y = make_blobs([each] * genres, centers=centers, cluster_std=spread, random_state=seed)
    order = np.argsort(y, kind="stable")
    X, y = np.exp(X[order] / 4) * np.array([1, 1e-5, 100, 1e6, 1]), y[order]
    groups = np.array([f"song{number // 5}" for number in range(len(y))])
    return Examples(X, y.astype(np.int64), groups, GENRES[:genres], FEATURES)


@pytest.fixture(scope="module")
def params(project: Path) -> TrainParams:
    train = load_params(project / "params.yaml").train
    boosting = train.boosting.model_copy(update={"n_estimators": 12, "max_features": 0.5})
    return train.model_copy(update={"boosting": boosting})


@pytest.fixture(scope="module")
def train() -> Examples:
    return songs(1)


@pytest.fixture(scope="module")
def validation() -> Examples:
    return songs(2)


@pytest.fixture(scope="module")
def trained(params: TrainParams, train: Examples, validation: Examples) -> dict[str, Model]:
    models = {name: make_model(name, params) for name in NAMES}
    for model in models.values():
        model.fit(train, validation, seed=3)
    return models


# What holds for every family


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_separable_data(trained: dict[str, Model], validation: Examples, name: str) -> None:
    proba = trained[name].predict_proba(validation.X)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
    assert proba.min() >= 0
    assert (proba.argmax(axis=1) == validation.y).mean() > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_it_is_saved_and_loaded_without_a_difference(
    trained: dict[str, Model], validation: Examples, tmp_path: Path, name: str
) -> None:
    trained[name].save(tmp_path / name)
    loaded = load_model(tmp_path / name)
    assert loaded.settings == trained[name].settings
    np.testing.assert_array_equal(
        loaded.predict_proba(validation.X), trained[name].predict_proba(validation.X)
    )


@pytest.mark.parametrize("name", NAMES)
def test_two_trainings_write_the_same_bytes(
    trained: dict[str, Model],
    params: TrainParams,
    train: Examples,
    validation: Examples,
    tmp_path: Path,
    name: str,
) -> None:
    again = make_model(name, params)
    again.fit(train, validation, seed=3)
    for model, folder in ((trained[name], "one"), (again, "other")):
        model.save(tmp_path / folder)
    for file in (serialization.WEIGHTS, serialization.DESCRIPTION):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_validation_rows_change_nothing_without_early_stopping(
    trained: dict[str, Model], params: TrainParams, train: Examples, name: str
) -> None:
    other = make_model(name, params)
    other.fit(train, songs(77), seed=3)
    for key, array in trained[name].arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[key])


@pytest.mark.parametrize("name", NAMES)
def test_two_genres_are_enough(params: TrainParams, name: str) -> None:
    train, validation = songs(1, genres=2), songs(2, genres=2)
    model = make_model(name, params)
    model.fit(train, validation, seed=0)
    proba = model.predict_proba(validation.X)
    assert proba.shape == (80, 2)
    assert (proba.argmax(axis=1) == validation.y).mean() > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_no_probabilities(trained: dict[str, Model], name: str) -> None:
    assert trained[name].predict_proba(np.empty((0, 5))).shape == (0, 4)


@pytest.mark.parametrize("name", NAMES)
def test_prediction_needs_neither_torch_nor_scikit_learn(
    trained: dict[str, Model], tmp_path: Path, name: str
) -> None:
    trained[name].save(tmp_path / name)
    program = (
        "import sys, numpy; from genre.models import load_model;"
        f"load_model({str(tmp_path / name)!r}).predict_proba(numpy.ones((2, 5)));"
        "assert not {'torch', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Equal to scikit-learn


def test_the_power_transform_is_that_of_scipy_and_scikit_learn(train: Examples) -> None:
    X = np.column_stack([train.X[:, 0], -train.X[:, 2], train.X[:, 0] - 1, np.full(160, 3.0)])
    powers = np.array([0.0, 2.0, 0.5, -1.0])
    expected = np.column_stack([yeojohnson(X[:, n], powers[n]) for n in range(4)])
    np.testing.assert_allclose(yeo_johnson(X, powers), expected, rtol=1e-12)
    normaliser = Normaliser().fit(train.X)
    reference = PowerTransformer().fit_transform(train.X / normaliser.unit)
    expected = np.clip(reference, -LIMIT, LIMIT)
    np.testing.assert_allclose(normaliser.transform(train.X), expected, atol=1e-8)


@pytest.mark.parametrize("rows", [5, 12, 700])
def test_the_powers_are_bit_for_bit_those_of_scikit_learn(rows: int) -> None:
    draw = np.random.default_rng(rows)
    normal = draw.normal(size=rows)
    columns = [
        *(normal, normal + 100, -np.exp(normal), np.exp(3 * normal), 1e-3 * normal, 1e6 * normal),
        *(np.zeros(rows), np.full(rows, -7.0), np.full(rows, 0.1), np.round(normal)),
        *(np.r_[np.zeros(rows - 1), 5.0], np.r_[np.full(rows - 1, 8.0), -3.0]),
        *(draw.gamma(0.5, size=rows), -draw.gamma(2.0, size=rows), draw.uniform(size=rows)),
        np.log1p(np.arange(rows)),
    ]
    X = np.column_stack(columns)
    expected = PowerTransformer(standardize=False).fit(X).lambdas_
    np.testing.assert_array_equal(likeliest_power(X), expected)


def test_the_unit_of_a_feature_changes_nothing(train: Examples) -> None:
    once = Normaliser().fit(train.X).transform(train.X)
    scaled = Normaliser().fit(train.X * 1024).transform(train.X * 1024)
    np.testing.assert_allclose(once, scaled, atol=1e-9)


def test_features_that_are_constant_or_mostly_zero_stay_finite() -> None:
    X = np.column_stack([np.zeros(50), np.full(50, 7.0), np.r_[np.zeros(49), 5.0]])
    assert np.isfinite(Normaliser().fit(X).transform(X)).all()


def test_whitened_rows_do_not_differ_more_in_one_direction_than_in_another(
    train: Examples,
) -> None:
    normal = Normaliser().fit(train.X).transform(train.X)
    white = Whitener().fit(normal, train.y, shrinkage=1e-9).transform(normal)
    within = white - np.stack([white[train.y == g].mean(axis=0) for g in range(4)])[train.y]
    np.testing.assert_allclose(within.T @ within / len(within), np.eye(5), atol=1e-6)


@pytest.mark.parametrize("genres", [2, 4])
def test_lda_predicts_as_scikit_learn(params: TrainParams, genres: int) -> None:
    train, other = fewer_of_one(songs(1, genres=genres)), songs(2, genres=genres)
    model = Lda(params.lda)
    model.fit(train, other, seed=0)
    even = np.full(genres, 1 / genres)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=even)
    reference.fit(model.normaliser.transform(train.X), train.y)
    expected = reference.predict_proba(model.normaliser.transform(other.X))
    np.testing.assert_allclose(model.predict_proba(other.X), expected, atol=1e-10)


@pytest.mark.parametrize("genres", [2, 4])
def test_logistic_regression_predicts_as_scikit_learn(params: TrainParams, genres: int) -> None:
    train, other = fewer_of_one(songs(1, genres=genres)), songs(2, genres=genres)
    model = Logistic(params.logistic)
    model.fit(train, other, seed=0)
    normal = [model.normaliser.transform(part.X) for part in (train, other)]
    whitener = Whitener().fit(normal[0], train.y, params.logistic.whitening)
    reference = LogisticRegression(
        C=params.logistic.C, class_weight="balanced", max_iter=1000, tol=1e-6
    ).fit(whitener.transform(normal[0]), train.y)
    expected = reference.predict_proba(whitener.transform(normal[1]))
    np.testing.assert_allclose(model.predict_proba(other.X), expected, atol=1e-10)


def test_the_width_of_the_kernel_suits_the_number_of_columns(params: TrainParams) -> None:
    assert params.svm.gamma == "auto"
    model = Svm(params.svm)
    model.features = tuple(f"column{number}" for number in range(57))
    assert model.gamma == 0.002
    model.features *= 10
    assert model.gamma == pytest.approx(0.0002)
    assert Svm(params.svm.model_copy(update={"gamma": 0.3})).gamma == 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lda", "logistic", "svm"])
def test_models_can_be_fitted_to_more_columns_than_rows(params: TrainParams, name: str) -> None:
    train, other = songs(1), songs(2)
    noise = np.random.default_rng(0).normal(size=(2, len(train), 300))
    wide = [
        Examples(
            np.hstack([part.X, more]),
            part.y,
            part.groups,
            GENRES,
            (*FEATURES, *(f"noise{number}" for number in range(300))),
        )
        for part, more in zip((train, other), noise, strict=True)
    ]
    model = make_model(name, params)
    model.fit(wide[0], wide[1], seed=0)
    proba = model.predict_proba(wide[1].X)
    assert np.isfinite(proba).all()
    assert (proba.argmax(axis=1) == other.y).mean() > 0.35  # a quarter by chance


@pytest.mark.parametrize("genres", [2, 4])
def test_the_decisions_of_the_svm_are_those_of_scikit_learn(
    params: TrainParams, genres: int
) -> None:
    train, other = fewer_of_one(songs(1, genres=genres)), songs(2, genres=genres)
    model = Svm(params.svm)
    model.fit(train, other, seed=0)
    rows = [model.whitener.transform(model.normaliser.transform(part.X)) for part in (train, other)]
    reference = SVC(
        C=params.svm.C,
        gamma=0.114 / 5,
        class_weight="balanced",
        decision_function_shape="ovo",
    ).fit(rows[0], train.y)
    expected = reference.decision_function(rows[1])
    if genres == 2:
        expected = -expected[:, np.newaxis]
    np.testing.assert_allclose(model.decisions(rows[1]), expected, atol=1e-10)


@pytest.mark.parametrize("genres", [2, 4])
def test_boosting_predicts_as_scikit_learn(params: TrainParams, genres: int) -> None:
    train, other = songs(1, genres=genres), songs(2, genres=genres)
    model = Boosting(params.boosting)
    model.fit(train, other, seed=5)
    reference = GradientBoostingClassifier(
        init="zero", random_state=5, **params.boosting.model_dump()
    ).fit(train.X.astype(np.float32), train.y)
    expected = reference.predict_proba(other.X)
    np.testing.assert_allclose(model.predict_proba(other.X), expected, atol=1e-10)


# Probabilities of pairs


def test_coupling_recovers_the_probabilities_behind_the_pairs() -> None:
    generator = np.random.default_rng(0)
    proba = generator.dirichlet(np.ones(4), size=20)
    decisions = np.column_stack([np.log(proba[:, i] / proba[:, j]) for i, j in pairs(4)])
    sigmoids = np.tile([1.0, 0.0], (6, 1))
    np.testing.assert_allclose(couple(decisions, sigmoids, 4), proba, atol=1e-5)


def test_coupling_of_two_genres_is_the_sigmoid() -> None:
    decisions = np.linspace(-3, 3, 7)[:, np.newaxis]
    found = couple(decisions, np.array([[2.0, 0.5]]), 2)
    np.testing.assert_allclose(found[:, 0], expit(2 * decisions[:, 0] + 0.5), atol=1e-9)


def test_a_separable_pair_gives_no_infinite_slope() -> None:
    decisions, y = np.r_[np.ones(10), -np.ones(10)][:, np.newaxis], np.repeat([0, 1], 10)
    ((slope, offset),) = fit_sigmoids(decisions, y.astype(np.int64), 2)
    assert expit(slope + offset) == pytest.approx(11 / 12, abs=1e-3)


def test_a_pair_without_decisions_of_both_is_given_the_mean_slope_of_the_others() -> None:
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    decisions = generator.normal(size=(40, 3)) + np.where(y == 0, 1, -1)[:, np.newaxis]
    sigmoids = fit_sigmoids(decisions, y, 3)
    assert sigmoids[0, 0] > 0
    np.testing.assert_allclose(sigmoids[1:], [[sigmoids[0, 0], 0]] * 2)
    np.testing.assert_allclose(fit_sigmoids(decisions[:20], y[:20], 3), [[2, 0]] * 3)


def test_the_svm_separates_genres_of_one_artist_each(params: TrainParams) -> None:
    train, other = songs(1), songs(2)
    groups = np.where(train.y < 2, np.char.add("artist", train.y.astype(str)), train.groups)
    one = Examples(train.X, train.y, groups, GENRES, FEATURES)
    model = Svm(params.svm)
    model.fit(one, other, seed=0)
    right = model.predict_proba(other.X).argmax(axis=1) == other.y
    assert min(right[other.y == genre].mean() for genre in range(4)) > 0.5


def test_a_genre_with_more_songs_than_another_is_not_likelier_for_that() -> None:
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], [4000, 400])
    decisions = np.where(y == 0, 0.5, -0.5) + generator.normal(size=len(y))
    ((slope, offset),) = fit_sigmoids(decisions[:, np.newaxis], y.astype(np.int64), 2)
    assert slope == pytest.approx(1, abs=0.1)  # two normal distributions one apart
    assert offset == pytest.approx(0, abs=0.1)


# Damaged files


def damage(model: Model, folder: Path, name: str, change: Any) -> None:
    import hashlib
    import json

    model.save(folder)
    arrays = load((folder / serialization.WEIGHTS).read_bytes())
    arrays[name] = change(arrays[name].copy())
    content = save(arrays)
    (folder / serialization.WEIGHTS).write_bytes(content)
    path = folder / serialization.DESCRIPTION
    description = json.loads(path.read_text())
    description["weights_sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(description))


def first(value: float) -> Any:
    def change(array: Any) -> Any:
        array.flat[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "array", "change", "message"),
    [
        ("svm", "support.counts", first(1000), "does not sum to the number of support vectors"),
        (
            "svm",
            "whitener.matrix",
            lambda array: array[:, :-1].copy(),
            r"expected float64 \(5, 5\)",
        ),
        ("boosting", "left", first(0), "a node of a tree has an invalid child"),
        ("boosting", "right", first(10_000_000), "a node of a tree has an invalid child"),
        ("boosting", "feature", first(57), "an invalid feature or root"),
        ("boosting", "roots", first(-1), "an invalid feature or root"),
        ("lda", "coefficients", first(np.inf), "not finite"),
        ("logistic", "intercepts", lambda array: array[1:].copy(), "intercepts is float64"),
        ("svm", "intercepts", lambda array: array[1:].copy(), "intercepts is float64"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(
    trained: dict[str, Model], tmp_path: Path, name: str, array: str, change: Any, message: str
) -> None:
    damage(trained[name], tmp_path / name, array, change)
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / name)
