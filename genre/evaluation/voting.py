"""Soft voting: how much each of several models is believed.

Temperatures and weights are learned from predictions out of fold, for a model is too sure of what
it has learned from. Each model is brought to its own temperature, then their probabilities are
averaged by weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genre.evaluation.calibration import fit_temperature
from genre.soft_voting import Mixture, scale

Floats = npt.NDArray[np.float64]

ROUNDS = 1000  # at most, of the weights' fit
ENOUGH = 1e-9  # change of a weight at which it has settled
DECIMALS = 6


def fit_mixture(answers: Sequence[Floats], truth: npt.NDArray[np.int64]) -> Mixture:
    """The temperature that makes `truth` [shape=(n,)] likeliest under each member, then weights.

    `answers` are the members' probabilities for rows that none of them learned from, each
    [shape=(n, classes)]. Raises `InputError` where there are no rows.
    """
    temperatures = tuple(fit_temperature(proba, truth) for proba in answers)
    rows = np.arange(len(truth))
    scaled = [scale(proba, heat) for proba, heat in zip(answers, temperatures, strict=True)]
    weights = fit_weights(np.stack([proba[rows, truth] for proba in scaled]))
    return Mixture(temperatures, tuple(round(float(weight), DECIMALS) for weight in weights))


def fit_weights(right: Floats) -> Floats:
    """The weights of a mixture that make the true genres likeliest; they sum to 1.

    `right` holds the probability that each member gave to the true genre of each row
    [shape=(members, n)]. Expectation-maximisation: the likelihood has one maximum.
    """
    weights = np.full(len(right), 1 / len(right))
    for _ in range(ROUNDS):
        share = weights[:, np.newaxis] * np.maximum(right, 1e-12)
        better = (share / share.sum(axis=0)).mean(axis=1)
        settled = np.abs(better - weights).max() < ENOUGH
        weights = better
        if settled:
            break
    return np.asarray(weights / weights.sum(), dtype=np.float64)
