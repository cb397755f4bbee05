"""MusiCNN's front end on overlapping patches; shared frames are computed once.

The result equals what `genre.features.musicnn.network.MusiCNN` computes patch by patch, to
rounding, with an eighth of the work. `genre.features.musicnn.temporal` has the temporal filters;
the timbral ones are here.

A timbral filter spans 7 frames. A frame with three more on either side in its patch has the same
value in every patch that holds them, so such *inner* frames are computed once; only the three at
either end of a patch, where the filter meets zeros, are the patch's own.

Over frequency a filter spans 38 or 67 of 96 bands. Its convolution is a product of Fourier
transforms of length 96, in which no value that is used is wrapped. Counted from the middle, the
values on both sides differ in the sign of their odd part only, so that the larger of each two is
even part + |odd part|. All of it is exact, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from genre.features.musicnn.network import BANDS, FrontEndFilters, MusiCNN, same
from genre.features.musicnn.temporal import Monotone, Temporal

BINS = BANDS // 2 + 1  # of the Fourier transform over frequency
ROWS_TOGETHER = 24  # frames in a product: as many as the processor's cache holds the values of

Frames = npt.NDArray[np.int64]


class SharedFrontEnd(nn.Module):
    """MusiCNN's front end for patches of one spectrogram."""

    def __init__(self, network: MusiCNN) -> None:
        super().__init__()
        self.normalisation = network.normalisation
        self.timbral = Timbral(cast("Iterable[FrontEndFilters]", network.timbral))
        temporal = cast("Iterable[FrontEndFilters]", network.temporal)
        self.temporal = nn.ModuleList(Temporal(filters) for filters in temporal)

    def forward(
        self, spectrogram: torch.Tensor, patches: int, hop: int, frames: int
    ) -> torch.Tensor:
        """The values of `patches` patches of `frames` frames, the first at the first frame.

        `spectrogram` is float32 [shape=(n, 96)]; the result [shape=(patches, 561, frames)].
        """
        x = self.normalisation(spectrogram[None, None])[0, 0]
        layers = (self.timbral, *self.temporal)
        values = [layer(x, patches, hop, frames) for layer in layers]
        return torch.cat(values, dim=2).transpose(1, 2)


class Layout(NamedTuple):
    """Which frames of patches are computed once, and where each patch finds its own.

    `shared` are the inner frames, counted in the song; `edge` the others, counted in the patch.
    `rows` [shape=(patches, frames)] are places in the shared values followed by those of the edges,
    patch by patch.
    """

    shared: Frames
    edge: Frames
    rows: Frames


def layout(starts: Frames, frames: int, before: int, after: int) -> Layout:
    """The layout of patches of `frames` frames at `starts`, for a filter of this reach."""
    each = np.arange(frames)
    is_inner = (each >= before) & (each < frames - after)
    inner, edge = each[is_inner], each[~is_inner]
    places = starts[:, None] + inner
    shared = np.unique(places)
    rows = np.empty((len(starts), frames), np.int64)
    rows[:, is_inner] = np.searchsorted(shared, places)
    rows[:, ~is_inner] = len(shared) + np.arange(len(starts) * len(edge)).reshape(len(starts), -1)
    return Layout(shared, edge, rows)


class Timbral(nn.Module):
    """All timbral filters, by Fourier transforms over frequency."""

    def __init__(self, filters: Iterable[FrontEndFilters]) -> None:
        super().__init__()
        kinds = list(filters)
        self.after = Monotone(kinds)
        size = kinds[0].convolution.kernel_size
        self.reach = same(size[0])
        ends = np.cumsum([kind.convolution.out_channels for kind in kinds]).tolist()
        self.columns = [slice(*pair) for pair in zip([0, *ends[:-1]], ends, strict=True)]
        for number, (kind, columns) in enumerate(zip(kinds, self.columns, strict=True)):
            sign = self.after.sign[columns, None, None]
            parts = _spectra(kind.convolution.weight[:, 0] * sign)
            for name, part in zip(("real", "imaginary", "cosines", "sines"), parts, strict=True):
                self.register_buffer(f"{name}_{number}", part.float().contiguous())

    def forward(self, x: torch.Tensor, patches: int, hop: int, frames: int) -> torch.Tensor:
        """Of a normalised spectrogram [shape=(frames, 96)]: [shape=(patches, frames, filters)]."""
        starts = hop * np.arange(patches)
        plan = layout(starts, frames, *self.reach)
        offsets = np.arange(-self.reach[0], self.reach[1] + 1)
        inside = plan.edge[:, None] + offsets
        edges = np.where(
            (inside >= 0) & (inside < frames), starts[:, None, None] + inside, len(x)
        )  # the row after the last one is empty
        windows = np.concatenate([plan.shared[:, None] + offsets, edges.reshape(-1, len(offsets))])
        spectra = torch.view_as_real(torch.fft.rfft(functional.pad(x, (0, 0, 0, 1)), dim=1))
        spectra = spectra.permute(1, 0, 2).contiguous()
        index = torch.from_numpy(windows).to(x.device)
        maxima = x.new_empty(len(windows), self.columns[-1].stop)
        for first in range(0, len(windows), ROWS_TOGETHER):
            rows = slice(first, first + ROWS_TOGETHER)
            seen = spectra[:, index[rows]].flatten(2)
            for number, columns in enumerate(self.columns):
                maxima[rows, columns] = self._maximum(number, seen)
        values: torch.Tensor = self.after(maxima)[torch.from_numpy(plan.rows).to(x.device)]
        return values

    def _maximum(self, number: int, seen: torch.Tensor) -> torch.Tensor:
        """Over frequency, of one kind's filters: [shape=(rows, filters)]."""
        real = torch.bmm(seen, self.get_buffer(f"real_{number}")).flatten(1)
        imaginary = torch.bmm(seen, self.get_buffer(f"imaginary_{number}")).flatten(1)
        even = self.get_buffer(f"cosines_{number}") @ real
        odd = self.get_buffer(f"sines_{number}") @ imaginary
        return even.add_(odd.abs_()).amax(dim=0).view(seen.shape[1], -1)


def _spectra(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Filters [shape=(filters, frames, bands)] as factors of a product of Fourier transforms.

    Two [shape=(bins, 2 frames, filters)] give the real and the imaginary part of the product from
    the real and imaginary parts of the spectra; two [shape=(places, bins)] its even and odd part
    at the places from the middle of the valid ones on, float64.
    """
    filters, _, bands = weight.shape
    middle = (BANDS - bands) / 2
    k = torch.arange(BINS, dtype=torch.float64)
    turned = torch.exp(2j * math.pi * middle / BANDS * k)
    once = torch.full((BINS,), 2 / BANDS, dtype=torch.float64)
    once[0] = once[-1] = 1 / BANDS
    spectrum = torch.fft.rfft(weight.double(), n=BANDS, dim=2).conj() * turned * once
    spectrum = spectrum.permute(2, 1, 0)
    real = torch.stack([spectrum.real, -spectrum.imag], dim=2).reshape(BINS, -1, filters)
    imaginary = torch.stack([spectrum.imag, spectrum.real], dim=2).reshape(BINS, -1, filters)
    places = torch.arange(middle % 1, middle + 0.25, dtype=torch.float64)
    angles = 2 * math.pi / BANDS * places[:, None] * k
    return real, imaginary, angles.cos(), angles.sin()
