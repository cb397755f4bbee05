"""MusiCNN as a module, and the front end that shares frames between patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from musicnn_weights import pretrained  # noqa: F401
from torch.nn import functional

from genre.features.musicnn.front_end import SharedFrontEnd, layout
from genre.features.musicnn.network import MusiCNN, same
from genre.features.musicnn.patches import log_mel, patch_starts
from genre.features.musicnn.weights import load_network


def random_network(seed: int = 0) -> MusiCNN:
    """Normalisation is anything, half of its scales negative."""
    torch.manual_seed(seed)
    network = MusiCNN()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor in (module.weight, module.bias, module.running_mean):
                tensor.normal_()
            module.running_var.uniform_(0.5, 2)
    return network


def test_what_comes_out_has_the_published_shapes() -> None:
    outputs = random_network()(torch.rand(2, 187, 96))
    assert [tuple(one.shape) for one in outputs] == [(2, 50), (2, 200), (2, 753), (2, 753)]
    assert ((outputs.tags > 0) & (outputs.tags < 1)).all()


def test_even_filters_see_one_zero_more_after_the_patch() -> None:
    assert [same(frames) for frames in (7, 128, 64, 32)] == [(3, 3), (63, 64), (31, 32), (15, 16)]


@pytest.mark.slow
def test_zeros_around_a_patch_are_zeros_after_normalisation() -> None:
    network = random_network()
    x = network.normalisation(torch.rand(1, 1, 20, 96))
    layer = network.timbral[0]
    inner = functional.conv2d(
        functional.pad(x, (0, 0, 3, 3)), layer.convolution.weight, layer.convolution.bias
    )
    expected = layer.normalisation(inner.relu()).amax(dim=3)
    torch.testing.assert_close(layer(x), expected)


def test_the_pools_lie_side_by_side_before_the_dense_layer() -> None:
    back_end = random_network().back_end
    mean, maximum = torch.rand(1, 753), torch.rand(1, 753)
    seen = []
    back_end.normalisation.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    back_end(mean, maximum)
    torch.testing.assert_close(seen[0][0, :4], torch.stack([maximum, mean], 2)[0, :2].flatten())


@pytest.mark.parametrize(
    ("frames", "hop"),
    [(187, 61), (187, 187), (187, 400), (64, 10), (129, 128), (128, 1), (300, 99), (5, 50), (1, 7)],
)
def test_shared_frames_give_what_each_patch_gives_alone(frames: int, hop: int) -> None:
    network = random_network(frames)
    spectrogram = torch.rand(frames + 5 * hop + min(hop - 1, 3), 96)
    starts = patch_starts(len(spectrogram), frames, hop)
    patches = torch.stack([spectrogram[start : start + frames] for start in starts])
    x = network.normalisation(patches[:, None])
    alone = torch.cat([layer(x) for layer in (*network.timbral, *network.temporal)], dim=1)
    shared = SharedFrontEnd(network)(spectrogram, len(starts), hop, frames)
    torch.testing.assert_close(shared, alone, rtol=1e-5, atol=2e-5)


@pytest.mark.slow
def test_shared_frames_give_the_published_network_the_same_answers(pretrained: Path) -> None:  # noqa: F811
    t = np.arange(8 * 16_000) / 16_000
    y = (0.4 * np.sin(440 * t * (1 + t)) + 0.2 * np.sign(np.sin(14 * t))).astype(np.float32)
    spectrogram = torch.from_numpy(log_mel(y))
    starts = patch_starts(len(spectrogram), 187, 61)
    for name in ("msd", "mtt"):
        network = load_network(pretrained, name)
        alone = network(torch.stack([spectrogram[start : start + 187] for start in starts]))
        shared = network.after_front_end(SharedFrontEnd(network)(spectrogram, len(starts), 61, 187))
        for ours, expected in zip(shared, alone, strict=True):
            scale = float(expected.abs().max())
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5 * max(1.0, scale))


def test_an_inner_frame_is_computed_once() -> None:
    plan = layout(np.array([0, 10]), 20, 3, 4)
    assert list(plan.shared) == list(range(3, 26))
    assert list(plan.edge) == [0, 1, 2, 16, 17, 18, 19]
    assert plan.rows[0, 13] == plan.rows[1, 3]
    assert len(np.unique(plan.rows)) == 23 + 2 * 7
