"""The definition of the 57 columns: librosa's public functions with their defaults, one by one.

`genre.features.report.extract` is tested against it and compared with its speed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.report.names import N_MFCC, NAMES


def extract(
    y: npt.NDArray[np.float32], sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> dict[str, float]:
    """Compute the 57 columns of `y`, float32, shape=(n,), with librosa.

    Each function gets `n_fft` (or `frame_length`) and `hop_length` if it takes them. The tempo is
    `librosa.beat.beat_track`'s, as in the public tables.
    """
    import librosa

    feature = librosa.feature
    harmonic, percussive = librosa.effects.hpss(y, n_fft=n_fft, hop_length=hop_length)
    series = [
        feature.chroma_stft(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length),
        feature.rms(y=y, frame_length=n_fft, hop_length=hop_length),
        feature.spectral_centroid(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length),
        feature.spectral_bandwidth(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length),
        feature.spectral_rolloff(y=y, sr=sr, n_fft=n_fft, hop_length=hop_length),
        feature.zero_crossing_rate(y, frame_length=n_fft, hop_length=hop_length),
        harmonic,
        percussive,
    ]
    tempo, _ = librosa.beat.beat_track(y=y, sr=sr, hop_length=hop_length)
    mfcc = feature.mfcc(y=y, sr=sr, n_mfcc=N_MFCC, n_fft=n_fft, hop_length=hop_length)
    values = [moment(numbers) for numbers in series for moment in (np.mean, np.var)]
    values.append(np.squeeze(tempo))
    values.extend(moment(numbers) for numbers in mfcc for moment in (np.mean, np.var))
    return dict(zip(NAMES, map(float, values), strict=True))
