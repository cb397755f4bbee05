"""Calibration: a prediction with a probability of 80 % should be correct in 80 of 100 cases.

Compared are the probability of the predicted genre (the *confidence*) and the accuracy. Rows must
be independent of each other: use songs, not segments.

Methods
-------
Expected calibration error: the mean distance of confidence and accuracy, in bins with the same
number of rows (Naeini, Cooper and Hauskrecht 2015). Debiased: without what chance adds, by the
normal approximation of Kumar, Liang and Ma 2019 ("Verified uncertainty calibration"), here in
closed form. Consistency band: the range of a bin's accuracy in 95 % of draws from a calibrated
model (Bröcker and Smith 2007). Temperature scaling: one number for all logits, fitted by likelihood
(Guo, Pleiss, Sun and Weinberger 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.soft_voting import SMALLEST, scale

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
ROWS_PER_BIN = 5  # at least; with few rows there are fewer bins
TEMPERATURES = (0.05, 20.0)  # the range that is searched
LEVEL = 0.95
DRAWS_TOGETHER = 100  # in memory at once

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """How well confidence and accuracy agree.

    `bins` has one row per bin: `n`, mean `confidence`, `accuracy`, and `low` and `high`, the 95 %
    consistency band of the accuracy. `ece` is the expected calibration error, `ece_debiased` the
    debiased one (at least 0), and `ece_chance` the 95 % quantile of the error of a calibrated
    model.
    """

    bins: pd.DataFrame
    ece: float
    ece_debiased: float
    ece_chance: float

    @property
    def outside(self) -> int:
        """The number of bins outside their band; by chance it is one in twenty."""
        bins = self.bins
        return int(((bins["accuracy"] < bins["low"]) | (bins["accuracy"] > bins["high"])).sum())

    @property
    def consistent(self) -> bool:
        """Whether the error is one that a calibrated model could have."""
        return self.ece <= self.ece_chance


def reliability(
    proba: Floats, truth: npt.NDArray[Any], *, samples: int, seed: int, bins: int = BINS
) -> Reliability:
    """The reliability of `proba` [shape=(n, classes)]; `truth` [shape=(n,)] indexes classes.

    Sizes of bins differ by one at most. The band is simulated with `samples` draws of a calibrated
    model's correct rows. Raises `InputError` for fewer than 5 rows.
    """
    import pandas as pd

    if len(proba) < ROWS_PER_BIN:
        raise InputError(f"calibration: found {len(proba)} rows, expected at least {ROWS_PER_BIN}")
    confidence = proba.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    confidence = confidence[order]
    correct = (proba.argmax(axis=1) == truth)[order].astype(np.float64)
    sizes = _sizes(len(correct), bins)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    mean_confidence = np.add.reduceat(confidence, starts) / sizes
    accuracy = np.add.reduceat(correct, starts) / sizes
    drawn = _draws(confidence, starts, sizes, samples=samples, seed=seed)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    weights = sizes / len(correct)
    errors = abs(drawn - mean_confidence) @ weights
    table = {"n": sizes, "confidence": mean_confidence, "accuracy": accuracy}
    return Reliability(
        pd.DataFrame({**table, "low": low, "high": high}),
        ece=float(abs(accuracy - mean_confidence) @ weights),
        ece_debiased=_debiased(accuracy, mean_confidence, sizes),
        ece_chance=float(np.quantile(errors, LEVEL)),
    )


def fit_temperature(proba: Floats, truth: npt.NDArray[Any]) -> float:
    """Fit the temperature that maximises the likelihood of `truth` [shape=(n,)] after scaling.

    Above 1 the model is overconfident, below 1 underconfident. Fit it on rows that the model was
    not trained on. Raises `InputError` if there are none.
    """
    from scipy.optimize import minimize_scalar

    if not len(proba):
        raise InputError("calibration: found no rows to fit a temperature on")
    rows = np.arange(len(proba))

    def loss(log_temperature: float) -> float:
        scaled = scale(proba, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(scaled[rows, truth], SMALLEST)).mean())

    bounds = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=tuple(bounds), method="bounded", options={"xatol": 1e-7})
    return round(float(np.exp(found.x)), 6)


def _sizes(rows: int, bins: int) -> npt.NDArray[np.int64]:
    """The sizes of at most `bins` bins that differ by one at most."""
    number = max(1, min(bins, rows // ROWS_PER_BIN))
    return np.array([len(part) for part in np.array_split(np.arange(rows), number)])


def _draws(
    confidence: Floats,
    starts: npt.NDArray[Any],
    sizes: npt.NDArray[Any],
    *,
    samples: int,
    seed: int,
) -> Floats:
    """The accuracy of each bin in draws from a calibrated model [shape=(samples, bins)]."""
    random = np.random.default_rng(seed)
    drawn = []
    for start in range(0, samples, DRAWS_TOGETHER):
        uniform = random.random((min(DRAWS_TOGETHER, samples - start), len(confidence)))
        correct = (uniform < confidence).astype(np.float64)
        drawn.append(np.add.reduceat(correct, starts, axis=1) / sizes)
    return np.concatenate(drawn)


def _debiased(accuracy: Floats, confidence: Floats, sizes: npt.NDArray[Any]) -> float:
    """The error minus its estimated bias: its mean over resampled accuracies minus itself.

    Accuracies are resampled from normal distributions, so distances are folded normal.
    """
    from scipy.special import erf

    weights = sizes / sizes.sum()
    distance = abs(accuracy - confidence)
    spread = np.sqrt(accuracy * (1 - accuracy) / sizes)
    ratio = np.divide(distance, spread, out=np.full_like(distance, np.inf), where=spread > 0)
    folded = spread * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2)
    folded += distance * erf(ratio / np.sqrt(2))
    return max(0.0, float((2 * distance - folded) @ weights))
