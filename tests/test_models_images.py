"""The SimpleCNN, the residual network, and what is done to their training examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genre.core.errors import InputError
from genre.core.params import TrainParams, load_params
from genre.models import load_model, make_model
from genre.models.augment import SpectrogramAugment, crop, mask, mixup
from genre.models.base import Examples, Model
from genre.models.images import Cnn, Resnet, channel_scaling, cut
from genre.models.networks import ResidualNetwork, SimpleCnn

GENRES = ("blues", "jazz")
CHANNELS = {"cnn": 4, "resnet": 1}


def pictures(channels: int, seed: int, *, n: int = 24, width: int = 340) -> Examples:
    """Clips as uint8 pictures: blues is louder in the lower half, jazz in the upper."""
    generator = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = generator.integers(0, 160, (n, channels, 32, width))
    X[y == 0, :, 16:] += 60
    X[y == 1, :, :16] += 60
    groups = np.array([f"song{number}" for number in range(n)])
    return Examples(X.astype(np.uint8), y.astype(np.int64), groups, GENRES)


@pytest.fixture(scope="module")
def params(project: Path) -> TrainParams:
    train = load_params(project / "params.yaml").train
    cnn = train.cnn.model_copy(update={"max_epochs": 4, "learning_rate": 0.01})
    resnet = train.resnet.model_copy(
        update={"max_epochs": 6, "width": 4, "crop_frames": 64, "learning_rate": 0.02}
    )
    return train.model_copy(update={"cnn": cnn, "resnet": resnet})


@pytest.fixture(scope="module")
def trained(params: TrainParams) -> dict[str, Model]:
    models = {}
    for name, channels in CHANNELS.items():
        models[name] = make_model(name, params)
        models[name].fit(pictures(channels, 1), pictures(channels, 2), seed=5)
    return models


def test_the_simple_cnn_is_the_reports() -> None:
    kinds = [type(module).__name__ for module in SimpleCnn(10).convolutions]
    assert kinds == [
        *["Conv2d", "ReLU", "MaxPool2d"] * 2,
        "AdaptiveAvgPool2d",
        "Flatten",
    ]
    shapes = {name: tuple(value.shape) for name, value in SimpleCnn(10).named_parameters()}
    assert shapes["convolutions.0.weight"] == (16, 4, 3, 3)
    assert shapes["convolutions.3.weight"] == (32, 16, 3, 3)
    assert shapes["output.weight"] == (10, 32)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_residual_network_halves_and_widens_four_times(blocks: int) -> None:
    network = ResidualNetwork(10, width=8, blocks=blocks, dropout=0.0).eval()
    places = network.stages(network.stem(torch.zeros(2, 1, 128, 96)))
    assert places.shape == (2, 64, 4, 3)
    assert network(torch.zeros(2, 1, 32, 32, dtype=torch.uint8)).shape == (2, 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_it_fits_separable_data_and_predicts_any_width(
    trained: dict[str, Model], name: str
) -> None:
    other = pictures(CHANNELS[name], 3)
    for X, y in ((other.X, other.y), (cut(other.X), np.repeat(other.y, 10))):
        proba = trained[name].predict_proba(X)
        assert proba.dtype == np.float64
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-12)
        assert (proba.argmax(axis=1) == y).mean() > 0.9


@pytest.mark.parametrize("name", CHANNELS)
def test_two_trainings_write_the_same_bytes(
    trained: dict[str, Model], params: TrainParams, tmp_path: Path, name: str
) -> None:
    again = make_model(name, params)
    again.fit(pictures(CHANNELS[name], 1), pictures(CHANNELS[name], 2), seed=5)
    files = []
    for model in (trained[name], again):
        model.save(tmp_path / name)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert files[0] == files[1]
    assert set(files[0]) == {"history.csv", "model.json", "weights.safetensors"}


@pytest.mark.parametrize("name", CHANNELS)
def test_a_loaded_network_predicts_as_the_saved_one(
    trained: dict[str, Model], tmp_path: Path, name: str
) -> None:
    trained[name].save(tmp_path / name)
    X = pictures(CHANNELS[name], 4).X
    loaded = load_model(tmp_path / name)
    np.testing.assert_array_equal(loaded.predict_proba(X), trained[name].predict_proba(X))


@pytest.mark.parametrize("name", CHANNELS)
def test_scaling_is_fitted_to_the_training_rows_only(trained: dict[str, Model], name: str) -> None:
    X = pictures(CHANNELS[name], 1).X
    rows = cut(X) if name == "cnn" else X
    mean = trained[name].arrays()["standardise.mean"]
    np.testing.assert_allclose(mean, rows.mean(axis=(0, 2, 3)), rtol=1e-5)


def test_a_constant_channel_is_accepted() -> None:
    X = pictures(4, 0).X
    X[:, 3] = 255
    mean, scale = channel_scaling(X)
    assert (mean[3], scale[3]) == (255, 1)
    np.testing.assert_allclose(scale[:3], X[:, :3].std(axis=(0, 2, 3)), rtol=1e-5)


def test_segments_are_cut_in_time_and_in_order() -> None:
    X = np.arange(2 * 1 * 3 * 21).reshape(2, 1, 3, 21)
    found = cut(X)
    assert found.shape == (20, 1, 3, 2)
    np.testing.assert_array_equal(found[13], X[1, :, :, 6:8])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 3, 64, 64), np.uint8), "expected 4 channels"),
        (np.zeros((2, 4, 64, 8), np.uint8), "each side at least 32"),
        (np.zeros((2, 64), np.uint8), r"pictures of shape \(64,\)"),
        (np.zeros((2, 4, 64, 64)), "pictures of float64"),
        (np.full((2, 4, 64, 64), np.nan, np.float32), "not finite"),
    ],
)
def test_pictures_that_it_cannot_read_are_refused(
    trained: dict[str, Model], X: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        trained["cnn"].predict_proba(X)


def test_the_weights_of_another_shape_are_refused(
    trained: dict[str, Model], tmp_path: Path
) -> None:
    import json

    trained["resnet"].save(tmp_path / "resnet")
    path = tmp_path / "resnet" / "model.json"
    description = json.loads(path.read_text())
    description["settings"]["width"] = 8
    path.write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"stem\.0\.weight is float32 \(4, 1, 3, 3\)"):
        load_model(tmp_path / "resnet")


def test_each_family_has_its_input() -> None:
    assert (Cnn.input, Resnet.input) == ("spectrogram", "log_mel")


# Augmentation


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_crops_are_neighbouring_frames_from_several_places(generator: torch.Generator) -> None:
    rows = torch.arange(50.0).expand(40, 1, 3, 50)
    cropped = crop(rows, 20, generator)
    assert cropped.shape == (40, 1, 3, 20)
    assert torch.all(cropped.diff(dim=3) == 1)
    starts = set(cropped[:, 0, 0, 0].tolist())
    assert len(starts) > 10
    assert starts <= set(range(31))


def test_pictures_not_wider_than_a_crop_are_not_cropped(generator: torch.Generator) -> None:
    rows = torch.rand(3, 1, 4, 20)
    assert torch.equal(crop(rows, 20, generator), rows)


def test_masks_are_one_run_and_not_too_wide(generator: torch.Generator) -> None:
    masks = mask(200, 30, 8, generator)[:, 0, :, 0]
    widths = masks.sum(dim=1)
    assert set(widths.tolist()) == set(range(9))
    edges = masks.to(torch.int64).diff(dim=1).abs().sum(dim=1)
    assert int(edges.max()) <= 2
    assert masks.any(dim=0).all()


def test_a_blend_of_rows_is_the_same_blend_of_targets(generator: torch.Generator) -> None:
    targets = torch.eye(6)
    rows = targets.reshape(6, 1, 6, 1).clone()
    mixed, wanted = mixup(rows, targets, 0.4, generator)
    assert torch.allclose(mixed[:, 0, :, 0], wanted)
    assert torch.allclose(wanted.sum(dim=1), torch.ones(6))
    assert not torch.equal(wanted, targets)


def test_no_augmentation_leaves_the_batch_as_it_is(generator: torch.Generator) -> None:
    nothing = SpectrogramAugment(crop_frames=64, mask_bands=0, mask_frames=0, mixup=0.0)
    rows, targets = torch.rand(4, 1, 32, 64), torch.eye(4)
    changed, wanted = nothing(rows, targets, generator)
    assert torch.equal(changed, rows)
    assert torch.equal(wanted, targets)


def test_augmentation_follows_its_seed() -> None:
    augment = SpectrogramAugment(crop_frames=48, mask_bands=8, mask_frames=8, mixup=0.4)
    rows, targets = torch.rand(4, 1, 32, 64), torch.eye(4)
    results = [augment(rows, targets, torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert results[0].shape == (4, 1, 32, 48)
