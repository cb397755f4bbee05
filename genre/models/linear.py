"""The base class of linear models: a normaliser, and one coefficient per genre and feature."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.models.base import Model, softmax
from genre.models.normalise import Normaliser

if TYPE_CHECKING:
    from genre.models.serialization import Reader

Floats = npt.NDArray[np.float64]


class Linear(Model, ABC):
    """Yeo–Johnson → one linear function per genre → softmax."""

    normaliser: Normaliser
    coefficients: Floats
    intercepts: Floats

    def each_genre(self, fitted: Any) -> tuple[Floats, Floats]:
        """Coefficients [shape=(classes, features)] and intercepts of scikit-learn's `fitted`."""
        coefficients, intercepts = np.asarray(fitted.coef_), np.asarray(fitted.intercept_)
        if len(self.classes) == 2:  # scikit-learn has one row for two classes
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([np.zeros(1), intercepts])
        return coefficients, intercepts

    def _predict(self, X: npt.NDArray[Any]) -> Floats:
        return softmax(self.normaliser.transform(X) @ self.coefficients.T + self.intercepts)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The normaliser, coefficients [shape=(classes, features)] and intercepts."""
        return {
            **self.normaliser.arrays(),
            "coefficients": self.coefficients,
            "intercepts": self.intercepts,
        }

    def restore(self, reader: Reader) -> None:
        """Restore what `arrays` returned."""
        classes, features = len(self.classes), len(self.features)
        self.normaliser = Normaliser().restore(reader, features)
        self.coefficients = reader.take("coefficients", np.float64, (classes, features))
        self.intercepts = reader.take("intercepts", np.float64, (classes,))
