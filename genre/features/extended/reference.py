"""The definition of the extended columns: librosa's public functions with their defaults.

`genre.features.extended.extract` is tested against it and compared with its speed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.extended.names import CORRELATED, LAGS, NAMES
from genre.features.report.names import N_MFCC


def extract(
    y: npt.NDArray[np.float32], sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> dict[str, float]:
    """Compute the extended columns of `y`, float32, shape=(n,), with librosa, SciPy and numpy.

    Undefined values (constant signals, silence) are NaN.
    """
    import librosa
    from scipy.stats import entropy, skew

    feature = librosa.feature
    contrast = feature.spectral_contrast(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length)
    mfcc = feature.mfcc(y=y, sr=sr, n_mfcc=N_MFCC, n_fft=n_fft, hop_length=hop_length)
    delta2 = feature.delta(mfcc, order=2, mode="nearest")
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.corrcoef(mfcc[:CORRELATED])[np.triu_indices(CORRELATED, 1)]

    chroma = feature.chroma_stft(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length)
    unit = librosa.util.normalize(chroma, norm=2, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        bits = np.nan_to_num(entropy(chroma, base=2))

    rms = feature.rms(y=y, frame_length=n_fft, hop_length=hop_length)[0]
    level = librosa.amplitude_to_db(librosa.util.normalize(rms), top_db=80)
    steps = np.diff(level)

    envelope = librosa.onset.onset_strength(y=y, sr=sr, hop_length=hop_length)
    onsets = librosa.onset.onset_detect(
        onset_envelope=envelope, sr=sr, hop_length=hop_length, units="frames"
    )
    seconds = len(y) / sr
    intervals = np.diff(onsets) * hop_length / sr
    if len(intervals) < 2:
        intervals = np.array([seconds])

    with np.errstate(invalid="ignore", divide="ignore"):
        values = [
            *(moment(band) for band in contrast for moment in (np.mean, np.var)),
            *delta2.var(axis=1),
            *correlations,
            *((unit * np.roll(unit, k, axis=0)).sum(axis=0).mean() for k in range(1, 7)),
            *((unit[:, lag:] * unit[:, :-lag]).sum(axis=0).mean() for lag in LAGS),
            bits.mean(),
            bits.var(),
            chroma.var(axis=1).mean(),
            level.mean(),
            level.std(),
            *np.percentile(level, [5, 50]),
            steps.var(),
            np.abs(steps).mean(),
            np.mean(rms < rms.mean()),
            rms.std() / rms.mean(),
            skew(rms.astype(np.float64)),
            np.abs(y).max() / np.sqrt(np.mean(y.astype(np.float64) ** 2)),
            len(onsets) / seconds,
            intervals.mean(),
            intervals.std() / intervals.mean(),
            envelope[onsets].mean() if len(onsets) else 0.0,
            envelope.mean(),
            envelope.var(),
            skew(envelope.astype(np.float64)),
            np.percentile(envelope, 95) / envelope.mean(),
        ]
    return dict(zip(NAMES, map(float, values), strict=True))
