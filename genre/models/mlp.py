"""The report's multilayer perceptron: 512-256-128-64, ReLU, dropout 0.2, cross-entropy.

Trained with torch; prediction is five matrix products in numpy, so that `genre classify` does not
import torch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from genre.core.params import MlpParams
from genre.models.base import Examples, History, Input, Model, Progress, softmax

if TYPE_CHECKING:
    import torch

    from genre.models.serialization import Reader


class Mlp(Model):
    """Standardised features → hidden layers with ReLU and dropout → logits."""

    name = "mlp"
    input: ClassVar[Input] = "features_3s"
    settings_type = MlpParams
    settings: MlpParams
    stops_early = True

    def _fit(
        self, train: Examples, validation: Examples, seed: int, progress: Progress
    ) -> History | None:
        from sklearn.preprocessing import StandardScaler

        from genre.models.training import train_network

        scaler = StandardScaler().fit(train.X.astype(np.float64))
        self.mean = np.asarray(scaler.mean_, dtype=np.float64)
        self.scale = np.asarray(scaler.scale_, dtype=np.float64)
        network, history = train_network(
            lambda: build_network(self.layers, self.settings.dropout),
            self._scaled(train),
            self._scaled(validation),
            settings=self.settings,
            patience=self.settings.patience,
            label_smoothing=self.settings.label_smoothing,
            seed=seed,
            progress=progress,
        )
        state = [tensor.numpy() for tensor in network.state_dict().values()]
        self.weights, self.biases = state[::2], state[1::2]
        return history

    def _predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        rows = (X.astype(np.float64) - self.mean) / self.scale
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            rows = np.maximum(rows @ weight.T.astype(np.float64) + bias, 0)
        return softmax(rows @ self.weights[-1].T.astype(np.float64) + self.biases[-1])

    @property
    def layers(self) -> list[int]:
        """Units of each layer, from the features to the classes."""
        return [len(self.features), *self.settings.hidden, len(self.classes)]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Scaling in float64, weights [shape=(out, in)] and biases in float32."""
        arrays = {"scaler.mean": self.mean, "scaler.scale": self.scale}
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays |= {f"layer{number}.weight": weight, f"layer{number}.bias": bias}
        return arrays

    def restore(self, reader: Reader) -> None:
        """Restore what `arrays` returned."""
        self.mean = reader.take("scaler.mean", np.float64, (len(self.features),))
        self.scale = reader.take("scaler.scale", np.float64, (len(self.features),))
        self.weights, self.biases = [], []
        for number, (before, after) in enumerate(pairwise(self.layers)):
            self.weights.append(reader.take(f"layer{number}.weight", np.float32, (after, before)))
            self.biases.append(reader.take(f"layer{number}.bias", np.float32, (after,)))

    def _scaled(self, examples: Examples) -> Examples:
        rows = ((examples.X.astype(np.float64) - self.mean) / self.scale).astype(np.float32)
        return Examples(rows, examples.y, examples.groups, examples.classes, examples.features)


class ReportMlp(Mlp):
    """The same network on the report's 57 columns: the baseline for other feature families."""

    name = "report_mlp"
    input = "report_3s"


def build_network(layers: list[int], dropout: float) -> torch.nn.Sequential:
    """The untrained network; `layers` are the units from input to output."""
    from torch.nn import Dropout, Linear, Module, ReLU, Sequential

    modules: list[Module] = []
    for before, after in pairwise(layers[:-1]):
        modules += [Linear(before, after), ReLU(), Dropout(dropout)]
    return Sequential(*modules, Linear(layers[-2], layers[-1]))
