"""Changes of the cepstrum from frame to frame, and correlations of its coefficients.

Means and variances do not describe changes over time (Furui, "Speaker-independent isolated
word recognition using dynamic features of speech spectrum", 1986); correlations of
coefficients separate genres with equal means (Mandel and Ellis, "Song-level features and
support vector machines for music classification", 2005).

Conventions: a series is shape=(n, n_frames), one row per feature; results have one number per row.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

WIDTH = 9  # frames: librosa's default
STILL = 1e-6  # of a row's greatest value: what deviates by less is float32's rounding

Series = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]


def acceleration(series: Series) -> Floats:
    """Second differences over nine frames, float64, shape=(n, n_frames).

    As `librosa.feature.delta(order=2, mode="nearest")`: the curvature of the parabola that fits
    the nine frames best (Savitzky and Golay, 1964).
    """
    n_frames = series.shape[1]
    reach = WIDTH // 2
    padded = np.pad(series.astype(np.float64), ((0, 0), (reach, reach)), mode="edge")
    total = np.zeros(series.shape)
    for place, weight in enumerate(_curvature()):
        total += weight * padded[:, place : place + n_frames]
    return total


@lru_cache(maxsize=1)
def _curvature() -> tuple[float, ...]:
    """Weights of the frames in twice the square term of the fitted parabola."""
    squares = (np.arange(WIDTH) - WIDTH // 2) ** 2.0
    squares -= squares.mean()
    return tuple(float(weight) for weight in 2 * squares / (squares**2).sum())


def correlations(series: Series) -> Floats:
    """Pearson's correlation of every two rows, upper triangle row by row; 0 if one is constant.

    As `numpy.corrcoef`.
    """
    moved = series - series.mean(axis=1, dtype=np.float64, keepdims=True)
    covariance = moved @ moved.T
    deviation = np.sqrt(np.diag(covariance))
    scale = np.multiply.outer(deviation, deviation)
    still = deviation <= STILL * np.abs(series).max(axis=1) * np.sqrt(series.shape[1])
    scale[still] = scale[:, still] = 0.0
    ratio = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    found: Floats = np.clip(ratio[np.triu_indices(len(series), 1)], -1.0, 1.0)
    return found
