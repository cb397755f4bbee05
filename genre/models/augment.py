"""Augmentation of spectrograms in training, against overfitting.

Spectrograms are [shape=(n, channels, bands, frames)], targets [shape=(n, classes)]. Random numbers
come from the generator that is passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class SpectrogramAugment:
    """Random crops in time, SpecAugment (Park et al. 2019) and mixup (Zhang et al. 2017).

    `mask_bands` and `mask_frames` are the greatest widths of masks, which are filled with the mean
    of the example. `mixup` is the parameter of the symmetric Beta distribution, 0 for no mixup.
    """

    crop_frames: int
    mask_bands: int
    mask_frames: int
    mixup: float

    def __call__(
        self, rows: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The augmented batch, float32, `crop_frames` wide (or less if the rows are narrower)."""
        rows = crop(rows, self.crop_frames, generator).to(torch.float32)
        fill = rows.mean(dim=(1, 2, 3), keepdim=True)
        rows = torch.where(mask(len(rows), rows.shape[2], self.mask_bands, generator), fill, rows)
        masked = mask(len(rows), rows.shape[3], self.mask_frames, generator).transpose(2, 3)
        return mixup(torch.where(masked, fill, rows), targets, self.mixup, generator)


def crop(rows: torch.Tensor, frames: int, generator: torch.Generator) -> torch.Tensor:
    """Crop each row to `frames` frames at a random position."""
    spare = rows.shape[3] - frames
    if spare <= 0:
        return rows
    starts = torch.randint(spare + 1, (len(rows),), generator=generator)
    parts = [row[:, :, start : start + frames] for row, start in zip(rows, starts, strict=True)]
    return torch.stack(parts)


def mask(n: int, size: int, widest: int, generator: torch.Generator) -> torch.Tensor:
    """A random mask for each row: True over a run of 0 to `widest` of `size` positions.

    Returns [shape=(n, 1, size, 1)].
    """
    widths = torch.randint(min(widest, size) + 1, (n, 1, 1, 1), generator=generator)
    starts = (torch.rand((n, 1, 1, 1), generator=generator) * (size - widths + 1)).long()
    positions = torch.arange(size).reshape(1, 1, size, 1)
    return (positions >= starts) & (positions < starts + widths)


def mixup(
    rows: torch.Tensor, targets: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each row and its target with another row of the batch."""
    if alpha == 0:
        return rows, targets
    seed = int(torch.randint(2**31, (), generator=generator))  # torch's Beta takes no generator
    blend = np.random.default_rng(seed).beta(alpha, alpha, size=len(rows)).astype(np.float32)
    share = torch.from_numpy(blend)
    other = torch.randperm(len(rows), generator=generator)
    by_row = share.reshape(-1, 1, 1, 1)
    return (
        by_row * rows + (1 - by_row) * rows[other],
        share[:, None] * targets + (1 - share[:, None]) * targets[other],
    )
