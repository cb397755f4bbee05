"""MusiCNN's outputs for a song, one row per patch.

Rows are float32 [shape=(patches, columns)], in order; `genre.features.musicnn.columns.names` names
their columns. They are finite whatever the song: silence too, and samples far beyond full scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre.audio import Samples
from genre.core.errors import InputError
from genre.features.musicnn.columns import Rows
from genre.features.musicnn.patches import (
    HOP_FRAMES,
    PATCH_FRAMES,
    log_mel,
    patch_starts,
)
from genre.features.musicnn.weights import load_network

if TYPE_CHECKING:
    import torch

    from genre.features.musicnn.network import MusiCNN

PATCHES_TOGETHER = 32  # through the network, which bounds memory


class Embedder:
    """MusiCNN with one or more sets of weights."""

    def __init__(self, networks: dict[str, MusiCNN], device: torch.device) -> None:
        """Use `load` to make one."""
        from genre.features.musicnn.front_end import SharedFrontEnd

        self.weights = tuple(networks)
        self._networks = [
            (SharedFrontEnd(network).to(device), network.to(device))
            for network in networks.values()
        ]
        self._device = device

    @classmethod
    def load(cls, folder: Path, weights: Sequence[str], *, device: str = "auto") -> Embedder:
        """Read the sets `weights` (`msd`, `mtt`) from `folder`.

        `device` is a PyTorch device; `auto` is a GPU if there is one, with the same values to
        1e-3. Raises `InputError` if a file is missing or another.
        """
        import torch

        if not weights:
            raise InputError("weights: found none, expected at least one of msd, mtt")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls({name: load_network(folder, name) for name in weights}, torch.device(device))

    def embed(
        self, y: Samples, *, patch_frames: int = PATCH_FRAMES, hop_frames: int = HOP_FRAMES
    ) -> Rows:
        """The rows of `y`, float32 mono at 16 kHz [shape=(n,)], in patches of `patch_frames`.

        A frame is 256 samples; a patch starts every `hop_frames`. A song that is shorter than a
        patch is one patch, with silence after it. Raises `AudioError` if `y` holds values that
        are not numbers, `InputError` if a patch or a hop has no frame.
        """
        import torch

        if patch_frames < 1 or hop_frames < 1:
            raise InputError(
                f"patch_frames is {patch_frames}, hop_frames {hop_frames}: expected at least 1"
            )
        spectrogram = log_mel(y, at_least=patch_frames)
        starts = patch_starts(len(spectrogram), patch_frames, hop_frames)
        rows = []
        # On a GPU, convolutions would otherwise be rounded to 10 bits.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            for first in range(0, len(starts), PATCHES_TOGETHER):
                some = starts[first : first + PATCHES_TOGETHER]
                x = torch.from_numpy(spectrogram[some[0] : some[-1] + patch_frames])
                x = x.to(self._device)
                layers: list[torch.Tensor] = []
                for front_end, network in self._networks:
                    values = front_end(x, len(some), hop_frames, patch_frames)
                    layers += network.after_front_end(values)
                rows.append(torch.cat(layers, dim=1).cpu().numpy())
        return np.concatenate(rows)
