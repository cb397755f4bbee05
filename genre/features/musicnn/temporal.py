"""MusiCNN's temporal filters on patches that overlap, as products with Toeplitz matrices.

In patches that overlap, the window of a frame is cut off by the start of one patch, by the end of
another, and not at all in those between. A window is therefore summed in pieces, between all starts
and ends of patches that lie in it, and each patch adds up the pieces that it holds. As patches are
a hop apart, every hop has the same pieces. The result equals that of the filters patch by patch, to
rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from genre.features.musicnn.network import BANDS, FrontEndFilters, same

BLOCK = 8  # frames of a product
HOPS_TOGETHER = 4  # whose blocks are in one: as many as the processor's cache holds the values of


class Monotone(nn.Module):
    """Bias, ReLU and normalisation of filters, applied after the maximum over frequency.

    All three are monotone, so the maximum of their result is their result for the maximum. Filters
    whose normalisation has a negative scale need the minimum: such a filter is negated (`sign`),
    and so is its maximum.
    """

    sign: torch.Tensor
    bias: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, filters: Iterable[FrontEndFilters]) -> None:
        super().__init__()
        parts = []
        for one in filters:
            normalisation = one.normalisation
            assert normalisation.running_mean is not None
            assert normalisation.running_var is not None
            deviation = (normalisation.running_var + normalisation.eps).sqrt()
            scale = normalisation.weight / deviation
            shift = normalisation.bias - normalisation.running_mean * scale
            assert one.convolution.bias is not None
            parts.append(torch.stack([one.convolution.bias, scale, shift]))
        bias, scale, shift = torch.cat(parts, dim=1)
        self.register_buffer("sign", torch.where(scale < 0, -1.0, 1.0))
        self.register_buffer("bias", bias)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, maximum: torch.Tensor) -> torch.Tensor:
        """Apply them to the maxima of the signed filters [shape=(…, filters)], in place."""
        return maximum.mul_(self.sign).add_(self.bias).relu_().mul_(self.scale).add_(self.shift)


class Temporal(nn.Module):
    """Temporal filters of one length."""

    matrix: torch.Tensor

    def __init__(self, filters: FrontEndFilters) -> None:
        super().__init__()
        self.after = Monotone([filters])
        self.length = filters.convolution.kernel_size[0]
        self.filters = filters.convolution.out_channels
        self.reach = same(self.length)
        signed = (filters.convolution.weight[:, 0, :, 0] * self.after.sign[:, None]).T
        matrix = torch.zeros(BLOCK + self.length - 1, BLOCK, self.filters)
        for frame in range(BLOCK):
            matrix[frame : frame + self.length, frame] = signed
        self.register_buffer("matrix", matrix.flatten(1))

    def forward(self, x: torch.Tensor, patches: int, hop: int, frames: int) -> torch.Tensor:
        """Of a normalised spectrogram [shape=(frames, 96)]: [shape=(patches, frames, filters)]."""
        before, after = self.reach
        hops = patches + (frames - 1) // hop  # in which a patch lies
        behind = max(0, hops * hop + after - len(x))
        by_band = functional.pad(x, (0, 0, before, behind)).T.contiguous()
        maxima = x.new_empty(patches, frames, self.filters)
        for block in _blocks(hop, frames, before, after):
            columns = block.frames * self.filters
            windows = by_band[:, block.first :].unfold(1, block.pieces[-1], hop)[:, :hops]
            for start in range(0, hops, HOPS_TOGETHER):
                some = windows[:, start : start + HOPS_TOGETHER].flatten(0, 1)
                sums = _Sums(
                    [
                        some[:, low:high] @ self.matrix[low:high, :columns]
                        for low, high in pairwise(block.pieces)
                    ]
                )
                for held, earlier in block.owners.items():
                    largest = sums.of(*held).view(BANDS, -1, columns).amax(dim=0)
                    values = largest.view(-1, block.frames, self.filters)
                    for hops_earlier in earlier:
                        patch = start - hops_earlier  # the one that the first row belongs to
                        low, high = max(0, patch), min(patches, patch + len(values))
                        if low < high:
                            place = block.first + hops_earlier * hop
                            maxima[low:high, place : place + block.frames] = values[
                                low - patch : high - patch
                            ]
        result: torch.Tensor = self.after(maxima)
        return result


class _Sums:
    """Sums of neighbours in a list of tensors, most of which start or end with the list."""

    def __init__(self, parts: list[torch.Tensor]) -> None:
        self._parts = parts
        self._from_the_first = list(accumulate(parts[:-1], torch.add))
        self._to_the_last = list(accumulate(reversed(parts), torch.add))[::-1]

    def of(self, first: int, stop: int) -> torch.Tensor:
        """The sum of the parts from `first` to the one before `stop`."""
        if stop == len(self._parts):
            return self._to_the_last[first]
        if first == 0:
            return self._from_the_first[stop - 1]
        return reduce(torch.add, self._parts[first:stop])


class _Block(NamedTuple):
    """Frames of a hop whose windows are cut alike.

    `first`, counted from the hop's start, and the number of `frames`; `pieces`, the ends of the
    pieces, counted from the first window's start; `owners`, by the first piece and the one after
    the last, the patches that hold just these, told by how many hops earlier they start.
    """

    first: int
    frames: int
    pieces: list[int]
    owners: dict[tuple[int, int], list[int]]


def _blocks(hop: int, frames: int, before: int, after: int) -> Iterator[_Block]:
    """The blocks of every hop, for patches of `frames` frames and filters of this reach."""
    for start, stop in pairwise(sorted({0, frames % hop, hop})):
        patches = [i for i in range(-(-frames // hop)) if start + i * hop < frames]
        for first in range(start, stop if patches else start, BLOCK):
            count = min(BLOCK, stop - first)
            zero, width = first - before, count + before + after
            held = {
                i: (max(0, -i * hop - zero), min(width, frames - i * hop - zero)) for i in patches
            }
            pieces = sorted({0, width, *(end for ends in held.values() for end in ends)})
            owners: dict[tuple[int, int], list[int]] = {}
            for i, (low, high) in held.items():
                owners.setdefault((pieces.index(low), pieces.index(high)), []).append(i)
            yield _Block(first, count, pieces, owners)
