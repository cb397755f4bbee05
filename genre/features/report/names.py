"""The names of the 57 columns, in the order of the public GTZAN tables.

Each feature gives the mean and the population variance over its frames; `tempo` is one number.
"""

from __future__ import annotations

N_MFCC = 20  # librosa's default number of mel-frequency cepstral coefficients

SPECTRAL = (
    "chroma_stft",
    "rms",
    "spectral_centroid",
    "spectral_bandwidth",
    "rolloff",
    "zero_crossing_rate",
    "harmony",
    "perceptr",
)
MFCC = tuple(f"mfcc{number}" for number in range(1, N_MFCC + 1))


def _mean_and_variance(features: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{feature}_{moment}" for feature in features for moment in ("mean", "var"))


NAMES: tuple[str, ...] = (*_mean_and_variance(SPECTRAL), "tempo", *_mean_and_variance(MFCC))
