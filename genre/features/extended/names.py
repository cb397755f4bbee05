"""The names of the extended columns, group by group; `docs/extended.md` has the source of each.

`_mean` and `_var` are numpy's mean and population variance over the frames.
"""

from __future__ import annotations

from genre.features.report.names import MFCC

N_BANDS = 7  # of the spectral contrast: librosa's default
CORRELATED = 8  # cepstral coefficients of which every two are compared
N_INTERVALS = 6  # 1 to 6 semitones: wider ones are these turned over
LAGS = (1, 4)  # frames: 23 and 93 ms at the pipeline's setting

CONTRAST = tuple(
    f"contrast{band}_{moment}" for band in range(1, 1 + N_BANDS) for moment in ("mean", "var")
)
DELTA = tuple(f"{name}_delta2_var" for name in MFCC)
CORRELATION = tuple(
    f"mfcc{one}_mfcc{other}_corr"
    for one in range(1, 1 + CORRELATED)
    for other in range(1 + one, 1 + CORRELATED)
)
HARMONY = (
    *(f"chroma_interval{semitones}" for semitones in range(1, 1 + N_INTERVALS)),
    *(f"chroma_persistence{lag}" for lag in LAGS),
    "chroma_entropy_mean",
    "chroma_entropy_var",
    "chroma_variance",
)
LEVEL = (
    "level_mean",
    "level_std",
    "level_p5",
    "level_p50",
    "level_delta_var",
    "level_delta_abs",
    "low_energy",
    "rms_variation",
    "rms_skew",
    "crest",
)
ONSET = (
    "onset_rate",
    "onset_interval_mean",
    "onset_interval_variation",
    "onset_peak_mean",
    "onset_strength_mean",
    "onset_strength_var",
    "onset_strength_skew",
    "onset_strength_p95",
)

NAMES: tuple[str, ...] = (*CONTRAST, *DELTA, *CORRELATION, *HARMONY, *LEVEL, *ONSET)
