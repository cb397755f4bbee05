"""From samples to the 57 columns: one spectrum, shared by everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.errors import InputError
from genre.features.names import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

SEGMENT_SECONDS = 3
SEGMENTS_PER_CLIP = 10


def extract(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> dict[str, float]:
    """Compute the 57 columns of one signal.

    `y`: float32, shape=(n,), n >= 1. `sr`: Hz. `n_fft` and `hop_length`: samples, passed to
    every librosa function that takes them. Raises `InputError` where `y` is not such a signal.
    """
    from genre.features import harmonic, pitch, rhythm, shape, spectrum, temporal, timbre

    samples = _checked(y)
    frames = spectrum.Frames(len(samples), n_fft, hop_length)
    padded = spectrum.pad(samples, frames)
    columns = spectrum.columns(padded, frames)
    complex_, magnitudes = spectrum.stft(columns, frames)
    mel = timbre.mel_decibels(magnitudes, sr, frames)
    tuning = pitch.tuning(*pitch.peaks(magnitudes, sr, frames))
    harmony, perceptr = harmonic.moments(complex_, magnitudes, columns, frames)
    series = [
        pitch.chroma(magnitudes, sr, tuning, frames),
        temporal.rms(padded, frames),
        *shape.shape(magnitudes, sr, frames),
        temporal.zero_crossing_rate(padded, frames),
    ]
    if n_fft == rhythm.ONSET_N_FFT:
        onset_mel = mel
    else:
        onset_frames = spectrum.Frames(len(samples), rhythm.ONSET_N_FFT, hop_length)
        onset_columns = spectrum.columns(spectrum.pad(samples, onset_frames), onset_frames)
        onset_mel = timbre.mel_decibels(
            spectrum.stft(onset_columns, onset_frames)[1], sr, onset_frames
        )
    envelope = rhythm.onset_strength(onset_mel, hop_length)
    values = [
        *_moments(series),
        *harmony,
        *perceptr,
        rhythm.tempo(envelope, sr, hop_length),
        *_moments(timbre.mfcc(mel)),
    ]
    return dict(zip(NAMES, values, strict=True))


def extract_segments(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> list[dict[str, float]]:
    """Compute the 57 columns of each of the ten 3 s segments of a clip.

    Segment `i` is `y[3 * i * sr : 3 * (i + 1) * sr]`. Raises `InputError` where `y` is too short
    to hold them.
    """
    samples = _checked(y)
    length = int(SEGMENT_SECONDS * sr)
    if len(samples) <= (SEGMENTS_PER_CLIP - 1) * length:
        raise InputError(
            f"the signal has {len(samples)} samples, expected {SEGMENTS_PER_CLIP * length} for "
            f"{SEGMENTS_PER_CLIP} segments of {SEGMENT_SECONDS} s at {sr:g} Hz"
        )
    parts = (samples[i * length : (i + 1) * length] for i in range(SEGMENTS_PER_CLIP))
    return [extract(part, sr, n_fft=n_fft, hop_length=hop_length) for part in parts]


def extract_clip(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Compute the row of a whole clip and the rows of its ten segments."""
    return (
        extract(y, sr, n_fft=n_fft, hop_length=hop_length),
        extract_segments(y, sr, n_fft=n_fft, hop_length=hop_length),
    )


def _checked(y: npt.ArrayLike) -> npt.NDArray[np.float32]:
    samples = np.ascontiguousarray(y, dtype=np.float32)
    if samples.ndim != 1 or len(samples) == 0:
        raise InputError(f"found samples of shape {samples.shape}, expected a mono signal, (n,)")
    if not np.isfinite(samples).all():
        raise InputError("the signal holds samples that are not numbers (NaN or infinite)")
    return samples


def _moments(series: Iterable[npt.NDArray[np.floating]]) -> list[float]:
    return [float(moment) for values in series for moment in (np.mean(values), np.var(values))]
