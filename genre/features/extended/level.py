"""Changes of the level: values that do not depend on the level of the whole recording.

Conventions: `rms` is float32, shape=(n_frames,), as `librosa.feature.rms` gives it; levels are in
dB below the loudest frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RANGE = 80.0  # dB: librosa's `top_db`

Floats = npt.NDArray[np.float64]


def levels(rms: npt.NDArray[np.float32]) -> Floats:
    """The level of each frame, shape=(n_frames,), from -80 to 0.

    As `librosa.amplitude_to_db(librosa.util.normalize(rms), top_db=80)`; all 0 for digital silence.
    """
    loudest = float(rms.max())
    if loudest == 0.0:
        return np.zeros(len(rms))
    relative = rms.astype(np.float64) / loudest
    found: Floats = 20.0 * np.log10(np.maximum(relative, 10.0 ** (-RANGE / 20.0)))
    return found


def low_energy(rms: npt.NDArray[np.float32]) -> float:
    """Share of frames that are quieter than the mean (Tzanetakis and Cook, 2002)."""
    return float((rms < rms.mean(dtype=np.float64)).mean())


def variation(rms: npt.NDArray[np.float32]) -> float:
    """Standard deviation over mean; 0 for silence."""
    mean = float(rms.mean(dtype=np.float64))
    return float(rms.std(dtype=np.float64)) / mean if mean else 0.0


def crest(samples: npt.NDArray[np.float32]) -> float:
    """Peak over root mean square of the samples; 1 for silence."""
    peak = float(max(samples.max(), -samples.min()))
    if peak == 0.0:
        return 1.0
    relative = samples / np.float32(peak)
    return float(np.sqrt(len(relative) / np.dot(relative, relative)))


def skewness(x: npt.NDArray[np.floating]) -> float:
    """Third standardised moment, as `scipy.stats.skew`; 0 if all values are equal."""
    moved = x.astype(np.float64) - x.mean(dtype=np.float64)
    variance = (moved**2).mean()
    if variance <= 0.0 or variance < (1e-12 * np.abs(x).max()) ** 2:
        return 0.0
    return float((moved**3).mean() / variance**1.5)
