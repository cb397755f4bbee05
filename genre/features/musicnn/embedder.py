"""MusiCNN's outputs for a song, a row a patch.

Rows are float32 [shape=(patches, columns)], in order; `genre.features.musicnn.columns.names` names
their columns. They are finite whatever the song: silence too, and samples far beyond full scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.audio import CLIP_SECONDS, Samples, part_of_song, resample, verify
from genre.core.errors import InputError
from genre.core.params import MusicnnParams
from genre.features.musicnn.columns import Rows, names
from genre.features.musicnn.patches import (
    HOP_FRAMES,
    HOP_LENGTH,
    PATCH_FRAMES,
    SAMPLE_RATE,
    log_mel,
    patch_starts,
)
from genre.features.musicnn.weights import load_network

if TYPE_CHECKING:
    import torch

    from genre.features.musicnn.network import MusiCNN

CLIP = CLIP_SECONDS * SAMPLE_RATE  # samples
PATCHES_TOGETHER = 32  # through the network, which bounds memory


class Embedder:
    """MusiCNN with one or more sets of weights."""

    def __init__(self, networks: dict[str, MusiCNN], device: torch.device) -> None:
        """`load` is what makes one."""
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

        `device` as PyTorch names it; `auto` is a GPU if there is one, which gives the same
        numbers to 1e-3. Raises `InputError` if a file is missing or not the right one.
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


def rows_of_song(
    source: Path | bytes, content: str, *, position: str, settings: MusicnnParams, pretrained: Path
) -> bytes:
    """The patches of the 30 s that trim keeps of the song whose sha256 is `content`.

    The song is resampled once, from its own rate to 16 kHz. `decode_rows` reads what is returned.
    Raises `AudioError` if the song has changed or cannot be read, `InputError` if the weights in
    the folder `pretrained` are missing or not the right ones.
    """
    verify(source, content)
    y = resample(*part_of_song(source, position), SAMPLE_RATE)[:CLIP]
    return embed(np.pad(y, (0, CLIP - len(y))), settings, pretrained).astype("<f4").tobytes()


def decode_rows(result: bytes, settings: MusicnnParams) -> Rows:
    """The rows that `rows_of_song` returned."""
    return np.frombuffer(result, dtype="<f4").reshape(-1, len(names(settings.weights)))


def embed(y: Samples, settings: MusicnnParams, pretrained: Path) -> Rows:
    """The rows of `y`, float32 mono at 16 kHz, by the networks in the folder `pretrained`."""
    return _embedder(pretrained, tuple(settings.weights)).embed(
        y, patch_frames=settings.patch_frames, hop_frames=settings.hop_frames
    )


def hop_seconds(settings: MusicnnParams) -> float:
    """The time from the start of a patch to that of the next."""
    return settings.hop_frames * HOP_LENGTH / SAMPLE_RATE


def patch_middles(patches: int, settings: MusicnnParams) -> npt.NDArray[np.float64]:
    """The middle of each patch, in seconds [shape=(patches,)]."""
    half = settings.patch_frames * HOP_LENGTH / SAMPLE_RATE / 2
    starts: npt.NDArray[np.float64] = np.arange(patches, dtype=np.float64) * hop_seconds(settings)
    return starts + half


@lru_cache(maxsize=2)
def _embedder(pretrained: Path, weights: tuple[str, ...]) -> Embedder:
    """The networks, loaded once a process."""
    return Embedder.load(pretrained, weights)
