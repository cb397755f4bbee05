"""Normalise features with a power transform, and whiten them within genres.

Rows are float64 [shape=(n, features)]; both steps are fitted and applied in numpy.

Recordings of one genre differ by artist and studio more than genres differ from each other.
*Whitening* by the covariance within genres scales these differences down, so that distances reflect
genres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from genre.models.serialization import Reader

Floats = npt.NDArray[np.float64]

MEDIAN = 10.0  # the median magnitude that columns are scaled to, so that units change nothing
LIMIT = 3.0  # standard deviations; values beyond are clipped


class Normaliser:
    """The power transform of Yeo and Johnson (2000) by column, standardised and clipped at ±3."""

    def fit(self, X: npt.NDArray[Any]) -> Normaliser:
        """Fit the power of each column of `X` by maximum likelihood."""
        from sklearn.preprocessing import StandardScaler

        X = X.astype(np.float64)
        typical = np.median(np.abs(X), axis=0)
        largest = np.abs(X).max(axis=0)
        self.unit = np.where(typical > 0, typical, np.where(largest > 0, largest, 1.0)) / MEDIAN
        scaled = X / self.unit
        self.power = likeliest_power(scaled)
        scaler = StandardScaler().fit(yeo_johnson(scaled, self.power))
        self.mean = np.asarray(scaler.mean_, dtype=np.float64)
        self.scale = np.asarray(scaler.scale_, dtype=np.float64)
        return self

    def transform(self, X: npt.NDArray[Any]) -> Floats:
        """The normalised rows."""
        powered = yeo_johnson(X.astype(np.float64) / self.unit, self.power)
        return np.clip((powered - self.mean) / self.scale, -LIMIT, LIMIT)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The fitted parameters, by name."""
        return {
            "normaliser.unit": self.unit,
            "normaliser.power": self.power,
            "normaliser.mean": self.mean,
            "normaliser.scale": self.scale,
        }

    def restore(self, reader: Reader, features: int) -> Normaliser:
        """Restore what `arrays` returned."""
        self.unit = reader.take("normaliser.unit", np.float64, (features,))
        self.power = reader.take("normaliser.power", np.float64, (features,))
        self.mean = reader.take("normaliser.mean", np.float64, (features,))
        self.scale = reader.take("normaliser.scale", np.float64, (features,))
        return self


def likeliest_power(X: Floats) -> Floats:
    """The maximum-likelihood power of each column of `X`, which is finite; 1 for a constant column.

    Equal to `sklearn.preprocessing.PowerTransformer` bit for bit, in a tenth of its time, because
    scipy's checks are not run for each power that is tried.
    """
    tiny = len(X) * np.finfo(np.float64).eps
    variance, mean = X.var(axis=0), X.mean(axis=0)
    constant = variance <= tiny * variance + (tiny * mean) ** 2
    return np.array(
        [1.0 if same else _likeliest_power(x) for x, same in zip(X.T, constant, strict=True)]
    )


def _likeliest_power(x: Floats) -> float:
    """As `scipy.stats.yeojohnson_normmax`: the same bounds, tolerance and search."""
    from scipy.optimize import fminbound

    limits = np.finfo(np.float64)
    positive = x >= 0
    logarithm = np.log1p(np.abs(x))
    total = np.sum(np.sign(x) * logarithm)
    above, below = logarithm[positive], logarithm[~positive]
    powered = np.empty_like(x)

    def unlikelihood(power: float) -> float:
        powered[positive] = _raised(above, power)
        powered[~positive] = -_raised(below, 2.0 - power)
        variance = powered.var()
        if not variance >= limits.smallest_normal:
            return np.inf
        return -(-len(x) / 2 * np.log(variance) + (power - 1) * total)  # type: ignore[no-any-return]

    # Powers beyond which the variance of the largest values would not be a float64.
    log_largest = np.log1p(20 * np.abs(x).max())
    low = (np.log(limits.tiny) - np.log(limits.eps)) / 2 / log_largest
    high = (np.log(limits.max) + np.log(limits.eps)) / 2 / log_largest
    if (x < 0).all():
        low, high = 2 - high, 2 - low
    elif (x < 0).any():
        low, high = max(2 - high, low), min(2 - low, high)
    with np.errstate(invalid="ignore"):
        return float(fminbound(unlikelihood, low, high, xtol=1.48e-8))


def _raised(logarithm: Floats, power: float) -> Floats:
    """The transform of values at or above 0, from the logarithms of 1 + value."""
    if abs(power) < np.finfo(np.float64).eps:
        return logarithm
    return np.asarray(np.expm1(power * logarithm) / power)


def yeo_johnson(X: Floats, power: Floats) -> Floats:
    """The transform of Yeo and Johnson of each column, as `scipy.stats.yeojohnson`."""
    result = np.empty_like(X)
    for column, exponent in enumerate(power):
        x, out = X[:, column], result[:, column]
        positive = x >= 0
        logarithm = np.log1p(np.abs(x))
        out[positive] = _raised(logarithm[positive], exponent)
        out[~positive] = -_raised(logarithm[~positive], 2.0 - exponent)
    return result


class Whitener:
    """Scales rows so that their covariance within genres is the identity, up to shrinkage."""

    def fit(self, X: Floats, y: npt.NDArray[np.int64], shrinkage: float) -> Whitener:
        """Fit to the deviations of rows from the mean of their genre.

        `shrinkage`, above 0 and at most 1, is the share of the covariance that is replaced by
        its mean variance in every direction.
        """
        means = np.stack([X[y == genre].mean(axis=0) for genre in range(int(y.max()) + 1)])
        within = X - means[y]
        covariance = within.T @ within / len(X)
        size = len(covariance)
        mean_variance = np.trace(covariance) / size
        covariance = (1 - shrinkage) * covariance + shrinkage * mean_variance * np.eye(size)
        variances, directions = np.linalg.eigh(covariance)
        self.mean = X.mean(axis=0)
        self.matrix = np.ascontiguousarray(directions / np.sqrt(variances))
        return self

    def transform(self, X: Floats) -> Floats:
        """The whitened rows."""
        return np.asarray((X - self.mean) @ self.matrix, dtype=np.float64)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The fitted parameters, by name."""
        return {"whitener.mean": self.mean, "whitener.matrix": self.matrix}

    def restore(self, reader: Reader, features: int) -> Whitener:
        """Restore what `arrays` returned."""
        self.mean = reader.take("whitener.mean", np.float64, (features,))
        self.matrix = reader.take("whitener.matrix", np.float64, (features, features))
        return self
