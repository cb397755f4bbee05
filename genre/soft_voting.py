"""Temperature scaling, and soft voting of several models.

Temperature scaling divides all logits by one number (Guo, Pleiss, Sun and Weinberger 2017); above 1
it lowers the confidence. Temperatures and weights are fitted in `genre.evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SMALLEST = 1e-12  # probabilities are clipped to it before the logarithm


@dataclass(frozen=True)
class SoftVoting:
    """A temperature and a weight per member; weights sum to 1."""

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    def combine(self, members: Sequence[Floats]) -> Floats:
        """The weighted mean of the members' scaled probabilities [each shape=(n, classes)]."""
        parts = zip(members, self.temperatures, self.weights, strict=True)
        mean = np.sum(
            [weight * scale(proba, temperature) for proba, temperature, weight in parts], axis=0
        )
        return np.asarray(mean / mean.sum(axis=1, keepdims=True), dtype=np.float64)


SINGLE = SoftVoting((1.0,), (1.0,))


def scale(proba: Floats, temperature: float) -> Floats:
    """Scale `proba` [shape=(n, classes)] by a temperature; rows sum to 1.

    Logits are the logarithms of the probabilities, which are clipped to at least 1e-12. The order
    of the genres in a row does not change.
    """
    logits = np.log(np.maximum(proba, SMALLEST)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), dtype=np.float64)
