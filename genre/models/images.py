"""The models of pictures: the report's SimpleCNN, and a small residual network.

X is [shape=(n, channels, height, width)], uint8 or float32: four-channel spectrogram pictures for
the CNN, log-mel spectrograms with one channel for the residual network. They are trained on whole
clips, one row per song, and predict pictures of any width: `cut` cuts clips into segments. Both use
torch, with as many threads as the caller has set (`torch.set_num_threads`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from genre.audio import SEGMENTS_PER_CLIP
from genre.core.errors import InputError
from genre.core.params import CnnParams, ResnetParams
from genre.models.base import Examples, History, Model, Progress, softmax

if TYPE_CHECKING:
    import torch

    from genre.models.serialization import Reader
    from genre.models.training import Augment

ROWS_TOGETHER = 64  # rows whose mean and standard deviation are summed at once


class ImageModel(Model):
    """A network on pictures with `channels` channels."""

    channels: ClassVar[int]
    settings: CnnParams | ResnetParams

    @abstractmethod
    def build(self) -> torch.nn.Module:
        """The untrained network, with a `Standardise` named `standardise`."""

    def new_network(self) -> torch.nn.Module:
        """The untrained network, in the memory layout that is fastest for convolutions."""
        import torch

        network = self.build()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def augment(self) -> Augment | None:
        """The augmentation of training examples, if any."""
        return None

    def patience(self) -> int | None:
        """Epochs without improvement until training stops; None to train all epochs."""
        return None

    def _check(self, X: npt.NDArray[Any]) -> None:
        from genre.models.networks import SMALLEST_SIDE

        if X.ndim != 4 or X.shape[1] != self.channels or min(X.shape[2:]) < SMALLEST_SIDE:
            raise InputError(
                f"{self.name}: found pictures of shape {X.shape[1:]}, expected {self.channels} "
                f"channels, each side at least {SMALLEST_SIDE} long"
            )
        if X.dtype not in (np.uint8, np.float32):
            raise InputError(f"{self.name}: found pictures of {X.dtype}, expected uint8 or float32")
        if X.dtype == np.float32 and not np.isfinite(X).all():
            raise InputError(f"{self.name}: the pictures have values that are not finite")

    def _fit(
        self, train: Examples, validation: Examples, seed: int, progress: Progress
    ) -> History | None:
        import torch

        from genre.models.training import train_network

        mean, scale = channel_scaling(train.X)

        def build() -> torch.nn.Module:
            network = self.new_network()
            standardise = network.get_submodule("standardise")
            standardise.load_state_dict(
                {"mean": torch.from_numpy(mean), "scale": torch.from_numpy(scale)}
            )
            return network

        self.network, history = train_network(
            build,
            train,
            validation,
            settings=self.settings,
            seed=seed,
            progress=progress,
            augment=self.augment(),
            patience=self.patience(),
        )
        return history

    def _predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        import torch

        from genre.models.training import predict_logits

        if not len(X):
            return np.empty((0, len(self.classes)))
        rows = torch.from_numpy(np.require(X, requirements=["C", "W"]))
        return softmax(predict_logits(self.network, rows, self.settings.batch_size).numpy())

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The network's `state_dict`."""
        return {name: value.numpy() for name, value in self.network.state_dict().items()}

    def restore(self, reader: Reader) -> None:
        """Restore what `arrays` returned."""
        import torch

        with torch.device("meta"):  # no memory for sizes that the arrays may not have
            expected = self.build().state_dict()
        state = {}
        for name, value in expected.items():
            dtype = np.int64 if value.dtype == torch.int64 else np.float32
            state[name] = torch.from_numpy(reader.take(name, dtype, tuple(value.shape)).copy())
        self.network = self.new_network().eval()
        self.network.load_state_dict(state)


class Cnn(ImageModel):
    """The report's SimpleCNN on RGBA pictures of spectrograms."""

    name = "cnn"
    input = "spectrogram"
    channels = 4
    settings_type = CnnParams
    settings: CnnParams
    stops_early = True

    def patience(self) -> int:
        """`train.cnn.patience`."""
        return self.settings.patience

    def _fit(
        self, train: Examples, validation: Examples, seed: int, progress: Progress
    ) -> History | None:
        # The report's network learns from 3 s pictures; it has no crops that would make them.
        return super()._fit(cut_examples(train), cut_examples(validation), seed, progress)

    def build(self) -> torch.nn.Module:
        """The untrained network."""
        from genre.models.networks import SimpleCnn

        return SimpleCnn(len(self.classes))


class Resnet(ImageModel):
    """A residual network on log-mel spectrograms, with crops, SpecAugment and mixup."""

    name = "resnet"
    input = "log_mel"
    channels = 1
    settings_type = ResnetParams
    settings: ResnetParams

    def build(self) -> torch.nn.Module:
        """The untrained network."""
        from genre.models.networks import ResidualNetwork

        return ResidualNetwork(
            len(self.classes),
            width=self.settings.width,
            blocks=self.settings.blocks,
            dropout=self.settings.dropout,
        )

    def augment(self) -> Augment:
        """Crops, masks and mixup, with the model's settings."""
        from genre.models.augment import SpectrogramAugment

        return SpectrogramAugment(
            crop_frames=self.settings.crop_frames,
            mask_bands=self.settings.mask_bands,
            mask_frames=self.settings.mask_frames,
            mixup=self.settings.mixup,
        )


def cut(X: npt.NDArray[Any], parts: int = SEGMENTS_PER_CLIP) -> npt.NDArray[Any]:
    """Cut pictures of clips in time [shape=(n · parts, channels, height, width // parts)].

    The parts of a clip follow each other; remaining columns at the end are dropped.
    """
    n, channels, height, width = X.shape
    narrow = width // parts
    pieces = X[..., : narrow * parts].reshape(n, channels, height, parts, narrow)
    order = pieces.transpose(0, 3, 1, 2, 4)
    return np.ascontiguousarray(order).reshape(n * parts, channels, height, narrow)


def cut_examples(examples: Examples) -> Examples:
    """Cut clips into segments, unless they are too narrow to be clips."""
    from genre.models.networks import SMALLEST_SIDE

    if examples.X.shape[3] < SEGMENTS_PER_CLIP * SMALLEST_SIDE:
        return examples
    y, groups = (np.repeat(part, SEGMENTS_PER_CLIP) for part in (examples.y, examples.groups))
    return Examples(cut(examples.X), y, groups, examples.classes, examples.features)


def channel_scaling(
    X: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of each channel over all rows; 1 for a constant channel."""
    total, squares = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for start in range(0, len(X), ROWS_TOGETHER):
        part = X[start : start + ROWS_TOGETHER].astype(np.float64)
        total += part.sum(axis=(0, 2, 3))
        squares += (part**2).sum(axis=(0, 2, 3))
    count = X.size / X.shape[1]
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    scale = np.where(deviation > 1e-6, deviation, 1.0)
    return mean.astype(np.float32), scale.astype(np.float32)
