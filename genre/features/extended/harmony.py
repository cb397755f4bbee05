"""Intervals between pitch classes and how long they last, independent of the key.

As in the pitch histograms of Tzanetakis, Ermolinskyi and Cook, "Pitch histograms in audio and
symbolic music information retrieval", 2003, but of chroma (Ellis, 2007) and by interval.

Conventions: chroma is float32, shape=(12, n_frames), as `librosa.feature.chroma_stft` gives it.
*Unit* chroma is `librosa.util.normalize(chroma, norm=2, axis=0)`. Transposing the music rotates the
rows, which does not change these values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.extended.names import LAGS, N_INTERVALS
from genre.features.report.filters import N_CHROMA

INTERVALS = range(1, 1 + N_INTERVALS)  # semitones
SILENT = float(np.finfo(np.float32).tiny)

Chroma = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]


def intervals(unit: Chroma) -> list[float]:
    """The strength of each interval, in [0, 1]: autocorrelation of frames over the pitch classes.

    The mean over the frames of sum(unit[p] unit[p + interval]), for intervals of one to six
    semitones; wider ones are those turned over. 1 if all pitch classes are equally
    strong, 0 if no two are that far apart, and for silent frames.
    """
    together = unit @ unit.T / unit.shape[1]
    pitch = np.arange(N_CHROMA)
    return [float(together[pitch, pitch - interval].sum()) for interval in INTERVALS]


def persistence(unit: Chroma) -> list[float]:
    """The mean cosine similarity of frames `LAGS` apart, in [0, 1]; 0 for too few frames."""
    n = unit.shape[1]
    pairs = [(unit[:, min(lag, n) :], unit[:, : max(0, n - lag)]) for lag in LAGS]
    return [float((late * early).sum(axis=0).mean()) if late.size else 0.0 for late, early in pairs]


def entropy(chroma: Chroma) -> Floats:
    """Entropy in bits of each frame as a distribution over the pitch classes, shape=(n_frames,).

    As `scipy.stats.entropy(chroma, base=2)`: 0 for one pitch class, log2(12) for all alike; 0 for
    silence.
    """
    total = chroma.sum(axis=0, dtype=np.float64)
    share = chroma / np.where(total < SILENT, 1.0, total)
    logarithm = np.log2(share, out=np.zeros_like(share), where=share > 0)
    bits: Floats = -(share * logarithm).sum(axis=0)
    return bits


def normalised(chroma: Chroma) -> Floats:
    """The unit chroma; silent frames stay 0."""
    length = np.sqrt((chroma.astype(np.float64) ** 2).sum(axis=0))
    unit: Floats = chroma / np.where(length < SILENT, 1.0, length)
    return unit
