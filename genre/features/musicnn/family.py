"""The family `musicnn`: tags and embeddings that a pretrained network predicts.

The 3 s patches of a song are cached. The dataset `patches` has one row per patch (`segment` is the
index of the patch), `3s` one row per segment (the mean of its patches), `30s` one row per song
(mean and standard deviation of all patches).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE as CLIP_RATE
from genre.audio import SEGMENT_SECONDS, Samples
from genre.core.errors import InputError
from genre.features.families import LONG, SEGMENT_STARTS, SHORT, Dataset, Extractor, Rows
from genre.features.musicnn import columns, weights, wheel
from genre.features.musicnn.embedder import Embedder
from genre.features.musicnn.patches import HOP_LENGTH, SAMPLE_RATE

PATCHES = "patches"
PRETRAINING = (
    "The network was trained by its authors on commercial recordings with listeners' tags, genre "
    "words among them. Songs that this model is tested on may be among those recordings; how many "
    "is unknown, so its figures may be too good for songs that the network has never seen."
)


class Musicnn(Extractor):
    """MusiCNN's outputs, averaged over the patches of a segment; `settings` are `MusicnnParams`."""

    sample_rate = SAMPLE_RATE
    dtype = "<f4"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all layers."""
        return columns.names(self.settings.weights)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The columns of the layers in `musicnn.layers`."""
        return columns.names(self.settings.weights, self.settings.layers)

    @property
    def tags(self) -> dict[str, list[str]]:
        """The tags of the networks."""
        found: dict[str, list[str]] = {}
        for name in self.settings.weights:
            for tag, column in columns.tag_columns(name).items():
                found.setdefault(tag.lower(), []).append(column)
        return found

    @property
    def weights(self) -> list[str]:
        """The names of the networks."""
        return list(self.settings.weights)

    def compute(self, y: Samples) -> Rows:
        """A row a patch [shape=(patches, columns)]; raises `InputError` without weights."""
        if self.pretrained is None:
            raise InputError("musicnn needs pretrained weights; choose the model again")
        embedder = _embedder(self.pretrained, tuple(self.settings.weights))
        return embedder.embed(
            y, patch_frames=self.settings.patch_frames, hop_frames=self.settings.hop_frames
        )

    def segments(self, y: Samples, starts: Sequence[int]) -> Rows:
        """A row a segment: the mean of the patches that have their middle in it."""
        return self._segments(self.compute(y), starts)

    def whole(self, y: Samples) -> Rows:
        """The row of a song: mean and deviation of all patches."""
        return columns.of_song(self.compute(y))

    def datasets(self) -> dict[str, Dataset]:
        """The tables of patches, segments and songs."""
        return {
            PATCHES: Dataset(self.columns, self._seconds(self.settings.hop_frames)),
            SHORT: Dataset(self.columns),
            LONG: Dataset(columns.song_names(self.settings.weights)),
        }

    def rows(self, computed: Rows) -> dict[str, Rows]:
        """The patches, the means of segments, mean and deviation of the song."""
        return {
            PATCHES: computed,
            SHORT: self._segments(computed, SEGMENT_STARTS),
            LONG: columns.of_song(computed)[np.newaxis],
        }

    @classmethod
    def read_weights(cls, folder: Path, name: str) -> bytes | None:
        """The valid file of the weights `name` in `folder`."""
        return weights.read_right(folder, name)

    @classmethod
    def fetch_weights(cls, names: Sequence[str]) -> dict[str, bytes]:
        """Fetch the published wheel through pip and convert its weights."""
        print(f"fetching {wheel.REQUIREMENT} through pip (29 MB)", flush=True)
        return wheel.convert(wheel.fetch(), names)

    @classmethod
    def credits(cls, settings: Mapping[str, Any]) -> list[str]:
        """Who trained the network, under which licence, on what."""
        names = ", ".join(settings["weights"])
        source = f"MusiCNN's weights ({names}) are from {weights.SOURCE}"
        return [f"{source}, licence {weights.LICENCE}. {weights.ATTRIBUTION}", PRETRAINING]

    def _segments(self, patches: Rows, starts: Sequence[int]) -> Rows:
        return columns.of_segments(
            patches,
            self._middles(len(patches)),
            [start / CLIP_RATE for start in starts],
            SEGMENT_SECONDS,
        )

    def _middles(self, patches: int) -> npt.NDArray[np.float64]:
        """The middle of each patch, in seconds."""
        starts = np.arange(patches, dtype=np.float64) * self._seconds(self.settings.hop_frames)
        middles: npt.NDArray[np.float64] = starts + self._seconds(self.settings.patch_frames) / 2
        return middles

    def _seconds(self, frames: int) -> float:
        return frames * HOP_LENGTH / SAMPLE_RATE


@lru_cache(maxsize=2)
def _embedder(pretrained: Path, names: tuple[str, ...]) -> Embedder:
    """The networks, loaded once a process."""
    return Embedder.load(pretrained, names)
