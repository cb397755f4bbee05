"""The multilayer perceptron: the report's shape, repeatable, saved without code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.preprocessing import StandardScaler

from genre.core.errors import InputError, ParameterError
from genre.core.params import MlpParams
from genre.models import load_model, make_model
from genre.models.base import Examples, Model
from genre.models.mlp import Mlp, build_network

CLASSES = ("blues", "jazz", "rock")
FEATURES = tuple(f"feature{number}" for number in range(6))
SETTINGS = MlpParams(
    hidden=[16, 8],
    dropout=0.2,
    learning_rate=0.01,
    weight_decay=0.0001,
    label_smoothing=0.0,
    batch_size=16,
    max_epochs=12,
    patience=4,
)


def songs(seed: int, n: int = 120, spread: float = 2.0) -> Examples:
    X, y = make_blobs(
        n, centers=np.eye(3, 6) * 5, cluster_std=spread, shuffle=True, random_state=seed
    )
    X = X * np.array([1, 10, 100, 1e3, 1e4, 1e-3]) + 7
    return Examples(X, y.astype(np.int64), np.arange(n).astype(str), CLASSES, FEATURES)


@pytest.fixture(scope="module")
def train() -> Examples:
    return songs(1)


@pytest.fixture(scope="module")
def validation() -> Examples:
    return songs(2)


@pytest.fixture
def trained(train: Examples, validation: Examples) -> Mlp:
    model = Mlp(SETTINGS)
    model.fit(train, validation, seed=3)
    return model


def written(model: Model, folder: Path) -> dict[str, bytes]:
    model.save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_network_has_the_layers_of_the_report() -> None:
    network = build_network([57, 512, 256, 128, 64, 10], dropout=0.2)
    kinds = [type(module).__name__ for module in network]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 4 + ["Linear"]
    shapes = [tuple(network[number].weight.shape) for number in (0, 3, 6, 9, 12)]
    assert shapes == [(512, 57), (256, 512), (128, 256), (64, 128), (10, 64)]
    assert network[2].p == 0.2


def test_it_fits_separable_data(trained: Mlp, validation: Examples) -> None:
    hits = trained.predict_proba(validation.X).argmax(axis=1) == validation.y
    assert hits.mean() > 0.85


def test_probabilities_sum_to_one_and_equal_those_of_torch(
    trained: Mlp, validation: Examples
) -> None:
    import torch

    # given the network of torch with the trained weights
    network = build_network([6, 16, 8, 3], dropout=0.2).double().eval()
    state = network.state_dict()
    arrays = trained.arrays()
    for key, name in zip(
        state, [f"layer{n}.{part}" for n in range(3) for part in ("weight", "bias")], strict=True
    ):
        state[key] = torch.from_numpy(arrays[name]).double()
    network.load_state_dict(state)
    # when both predict
    found = trained.predict_proba(validation.X)
    rows = torch.from_numpy((validation.X - trained.mean) / trained.scale)
    with torch.inference_mode():
        expected = network(rows).softmax(dim=1).numpy()
    # then they agree
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_scaling_is_fitted_to_the_training_rows_only(trained: Mlp, train: Examples) -> None:
    scaler = StandardScaler().fit(train.X)
    np.testing.assert_array_equal(trained.mean, scaler.mean_)
    np.testing.assert_array_equal(trained.scale, scaler.scale_)


def test_two_trainings_write_the_same_bytes_and_leave_torch_as_it_was(
    train: Examples, validation: Examples, tmp_path: Path
) -> None:
    import torch

    folders = []
    for run in range(2):
        torch.manual_seed(100 + run)
        before = torch.get_rng_state()
        model = Mlp(SETTINGS)
        model.fit(train, validation, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        assert not torch.are_deterministic_algorithms_enabled()
        folders.append(written(model, tmp_path / str(run)))
    assert folders[0] == folders[1]
    assert sorted(folders[0]) == ["history.csv", "model.json", "weights.safetensors"]


def test_another_seed_gives_other_weights(
    trained: Mlp, train: Examples, validation: Examples
) -> None:
    other = Mlp(SETTINGS)
    other.fit(train, validation, seed=4)
    assert not np.array_equal(other.weights[0], trained.weights[0])


def test_training_stops_early_and_keeps_the_best_epoch(
    train: Examples, validation: Examples
) -> None:
    # given songs that overlap so much that the network soon overfits
    train, validation = songs(5, n=40, spread=8), songs(6, spread=8)
    model = Mlp(SETTINGS.model_copy(update={"max_epochs": 200}))
    # when it is trained
    history = model.fit(train, validation, seed=0)
    # then it stops `patience` epochs after the best one, and predicts as in the best one
    assert history is not None
    validated = [row for row in history.rows if row.subset == "validation"]
    losses = {row.epoch: row.loss for row in validated}
    accuracies = {row.epoch: row.accuracy for row in validated}
    scores = {epoch: (accuracies[epoch], -losses[epoch]) for epoch in losses}
    assert history.best_epoch == max(scores, key=scores.__getitem__)
    assert max(losses) == history.best_epoch + SETTINGS.patience < 200
    likelihood = model.predict_proba(validation.X)[np.arange(len(validation)), validation.y]
    assert -np.log(likelihood).mean() == pytest.approx(losses[history.best_epoch], abs=1e-5)


def test_the_curves_have_both_subsets_of_every_epoch(trained: Mlp) -> None:
    assert trained.history is not None
    lines = trained.history.csv().splitlines()
    assert lines[0] == "epoch,subset,loss,accuracy"
    assert [line.split(",")[:2] for line in lines[1:5]] == [
        ["1", "train"],
        ["1", "validation"],
        ["2", "train"],
        ["2", "validation"],
    ]


def test_progress_is_reported_after_every_epoch(train: Examples, validation: Examples) -> None:
    steps: list[tuple[Any, ...]] = []
    history = Mlp(SETTINGS).fit(
        train, validation, seed=0, progress=lambda *step: steps.append(step)
    )
    assert history is not None
    assert [step[0] for step in steps] == list(range(1, history.rows[-1].epoch + 1))
    assert {step[1] for step in steps} == {12}
    assert "validation loss" in steps[0][2]
    assert [row for step in steps for row in step[3]] == list(history.rows)


def test_a_loaded_model_predicts_as_the_saved_one(
    trained: Mlp, validation: Examples, tmp_path: Path
) -> None:
    trained.save(tmp_path / "mlp")
    loaded = load_model(tmp_path / "mlp")
    assert isinstance(loaded, Mlp)
    assert (loaded.classes, loaded.features, loaded.seed) == (CLASSES, FEATURES, 3)
    assert loaded.settings == SETTINGS
    np.testing.assert_array_equal(
        loaded.predict_proba(validation.X), trained.predict_proba(validation.X)
    )


def test_loading_and_prediction_need_no_torch(trained: Mlp, tmp_path: Path) -> None:
    trained.save(tmp_path / "mlp")
    program = (
        "import sys, numpy; from genre.models import load_model;"
        f"m = load_model({str(tmp_path / 'mlp')!r}); m.predict_proba(numpy.zeros((2, 6)));"
        "assert not {'torch', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_training_does_not_import_the_compiler_of_torch() -> None:
    """Its import takes longer than a short training."""
    program = """
import sys
import torch
from genre.models.training import AdamW, deterministic
with deterministic(0):
    network = torch.nn.Linear(2, 2)
    optimiser = AdamW(network.parameters(), lr=0.1, fused=True)
    network(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
assert not {"torch._dynamo", "torch._inductor"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_constant_feature_is_accepted(train: Examples, validation: Examples) -> None:
    X = train.X.copy()
    X[:, 2] = 0.1
    flat = Examples(X, train.y, train.groups, CLASSES, FEATURES)
    model = Mlp(SETTINGS)
    model.fit(flat, validation, seed=0)
    assert np.isfinite(model.predict_proba(X)).all()


def test_values_that_are_not_finite_are_named(trained: Mlp, validation: Examples) -> None:
    X = validation.X.copy()
    X[3, 4] = np.nan
    with pytest.raises(InputError, match="not finite in feature4"):
        trained.predict_proba(X)
    bad = Examples(X, validation.y, validation.groups, CLASSES, FEATURES)
    with pytest.raises(InputError, match="feature4"):
        Mlp(SETTINGS).fit(bad, validation, seed=0)


def test_rows_of_another_width_are_refused(trained: Mlp) -> None:
    with pytest.raises(InputError, match="expected 6 features"):
        trained.predict_proba(np.zeros((2, 5)))


def test_a_genre_without_training_rows_is_named(train: Examples, validation: Examples) -> None:
    with pytest.raises(InputError, match="no training rows of jazz"):
        Mlp(SETTINGS).fit(train.take(train.y != 1), validation, seed=0)


def test_a_training_that_diverges_names_the_parameter(
    train: Examples, validation: Examples
) -> None:
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ParameterError, match="lower learning_rate"):
        Mlp(wild).fit(train, validation, seed=0)


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ParameterError, match=r"unknown model 'mpl'.*did you mean mlp"):
        make_model("mpl", None)  # type: ignore[arg-type]


def test_settings_of_the_params_file_reach_the_model(project: Path) -> None:
    from genre.core.params import load_params

    params = load_params(project / "params.yaml")
    model = make_model("mlp", params.train)
    assert model.settings == params.train.mlp
    assert json.loads(model.settings.model_dump_json())["hidden"] == [512, 256, 128, 64]
