"""MusiCNN, the music tagger of Pons and Serra, as a PyTorch module written from its papers.

A batch is log-mel patches, float32 [shape=(n, frames, 96)]. The front end has filters in two
shapes: *timbral* ones span many bands and 7 frames, *temporal* ones one band and up to 128 frames;
each keeps the largest of its values over frequency. Three convolutions over time with residual
connections follow; everything before and between them is pooled over time, by maximum and mean.

Two things differ from most PyTorch networks, as the published weights were trained so: batch
normalisation comes after ReLU, and its epsilon is TensorFlow's. Zeros are put before and after a
patch when it is normalised already.

Sources: J. Pons, O. Nieto, M. Prockup, E. Schmidt, A. Ehmann, X. Serra, "End-to-end learning for
music audio tagging at scale" (ISMIR 2018); J. Pons, X. Serra, "musicnn: pre-trained convolutional
neural networks for music audio tagging" (ISMIR 2019, late-breaking).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

BANDS = 96  # of the mel spectrogram
TAGS = 50
TIMBRAL_FRAMES = 7
TIMBRAL_BANDS = (38, 67)  # 0.4 and 0.7 of all bands
TIMBRAL_FILTERS = 204  # of each kind: 1.6 times 128
TEMPORAL_FRAMES = (128, 64, 32)
TEMPORAL_FILTERS = 51  # of each kind: 1.6 times 32
FRONT_END = len(TIMBRAL_BANDS) * TIMBRAL_FILTERS + len(TEMPORAL_FRAMES) * TEMPORAL_FILTERS
MID_END_FRAMES = 7
MID_END = 64  # channels of each of the three convolutions
POOLED = FRONT_END + 3 * MID_END
PENULTIMATE = 200
EPSILON = 1e-3  # of batch normalisation, TensorFlow's default


class Outputs(NamedTuple):
    """The outputs of the network for `n` patches, float32.

    `tags` [shape=(n, 50)], between 0 and 1; `penultimate` [shape=(n, 200)]; `mean_pool` and
    `max_pool` [shape=(n, 753)], the mean and the maximum of every channel over the patch.
    """

    tags: torch.Tensor
    penultimate: torch.Tensor
    mean_pool: torch.Tensor
    max_pool: torch.Tensor


def same(frames: int) -> tuple[int, int]:
    """Zeros before and after, so that a filter of `frames` gives as many values as it is given.

    An even filter has one more after, as in TensorFlow.
    """
    return (frames - 1) // 2, frames // 2


class FrontEndFilters(nn.Module):
    """Filters of one shape [frames, bands], ReLU, normalisation, and the maximum over frequency."""

    def __init__(self, filters: int, frames: int, bands: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, filters, (frames, bands))
        self.normalisation = nn.BatchNorm2d(filters, eps=EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[shape=(n, 1, frames, 96)] to [shape=(n, filters, frames)]."""
        before, after = same(self.convolution.kernel_size[0])
        padded = functional.pad(x, (0, 0, before, after))
        maximum: torch.Tensor = self.normalisation(self.convolution(padded).relu()).amax(dim=3)
        return maximum


class MidEndLayer(nn.Module):
    """A convolution over 7 frames to 64 channels, ReLU and normalisation."""

    def __init__(self, before: int) -> None:
        super().__init__()
        padding = MID_END_FRAMES // 2
        self.convolution = nn.Conv1d(before, MID_END, MID_END_FRAMES, padding=padding)
        self.normalisation = nn.BatchNorm1d(MID_END, eps=EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[shape=(n, channels, frames)] to [shape=(n, 64, frames)]."""
        y: torch.Tensor = self.normalisation(self.convolution(x).relu())
        return y


class BackEnd(nn.Module):
    """Two dense layers on the maximum and the mean of each channel, which lie side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.normalisation = nn.BatchNorm1d(2 * POOLED, eps=EPSILON)
        self.dense = nn.Linear(2 * POOLED, PENULTIMATE)
        self.penultimate_normalisation = nn.BatchNorm1d(PENULTIMATE, eps=EPSILON)
        self.output = nn.Linear(PENULTIMATE, TAGS)

    def forward(self, mean_pool: torch.Tensor, max_pool: torch.Tensor) -> Outputs:
        """The outputs of the patches with these pools [shape=(n, 753)]."""
        pools = torch.stack((max_pool, mean_pool), dim=2).flatten(1)
        dense = self.dense(self.normalisation(pools)).relu()
        penultimate = self.penultimate_normalisation(dense)
        return Outputs(self.output(penultimate).sigmoid(), penultimate, mean_pool, max_pool)


class MusiCNN(nn.Module):
    """The whole network, in evaluation mode from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.normalisation = nn.BatchNorm2d(1, eps=EPSILON)
        self.timbral = nn.ModuleList(
            FrontEndFilters(TIMBRAL_FILTERS, TIMBRAL_FRAMES, bands) for bands in TIMBRAL_BANDS
        )
        self.temporal = nn.ModuleList(
            FrontEndFilters(TEMPORAL_FILTERS, frames, 1) for frames in TEMPORAL_FRAMES
        )
        self.mid_end = nn.ModuleList(
            MidEndLayer(before) for before in (FRONT_END, MID_END, MID_END)
        )
        self.back_end = BackEnd()
        self.eval().requires_grad_(False)

    def forward(self, patches: torch.Tensor) -> Outputs:
        """The outputs for log-mel patches, float32 [shape=(n, frames, 96)], of any length."""
        x = self.normalisation(patches[:, None])
        return self.after_front_end(
            torch.cat([layer(x) for layer in (*self.timbral, *self.temporal)], dim=1)
        )

    def after_front_end(self, front_end: torch.Tensor) -> Outputs:
        """The outputs for the front end's values of patches, float32 [shape=(n, 561, frames)]."""
        first, second, third = self.mid_end
        one = first(front_end)
        two = second(one) + one
        three = third(two) + two
        values = (front_end, one, two, three)
        means, maxima = [part.mean(dim=2) for part in values], [part.amax(dim=2) for part in values]
        outputs: Outputs = self.back_end(torch.cat(means, dim=1), torch.cat(maxima, dim=1))
        return outputs
