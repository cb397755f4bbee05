"""Probabilities brought to another temperature, and several models' brought together.

Temperature scaling: one number for all logits (Guo, Pleiss, Sun and Weinberger 2017); above 1 a
model is made less sure of itself. What the numbers are is learned in `genre.evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SMALLEST = 1e-12  # probability that is told from zero


@dataclass(frozen=True)
class Mixture:
    """A temperature and a weight for each member; weights sum to 1."""

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    def mix(self, answers: Sequence[Floats]) -> Floats:
        """The common answer of the members [each shape=(n, classes), in order]."""
        parts = zip(answers, self.temperatures, self.weights, strict=True)
        mixed = np.sum([weight * scale(proba, heat) for proba, heat, weight in parts], axis=0)
        return np.asarray(mixed / mixed.sum(axis=1, keepdims=True), dtype=np.float64)


ALONE = Mixture((1.0,), (1.0,))


def scale(proba: Floats, temperature: float) -> Floats:
    """`proba` [shape=(n, classes)] at another temperature: logits divided by it, rows sum to 1.

    The order of the genres stays. Logits are logarithms of the probabilities, the smallest of
    which is taken as 1e-12.
    """
    logits = np.log(np.maximum(proba, SMALLEST)) / temperature
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)
