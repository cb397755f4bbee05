"""Compute the 57 columns from samples; all share one spectrum.

Kernels are imported with the first signal, so that importing this module is fast.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genre.features.report.names import NAMES
from genre.features.report.signals import Samples, checked, segments

Row = dict[str, float]


def extract(y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512) -> Row:
    """Compute the 57 columns of one signal.

    `y`: float32, shape=(n,), n >= 1. `sr`: Hz. `n_fft` and `hop_length`: samples, as passed to
    every librosa function that takes them. Returns the columns in the order of `NAMES`, with the
    values of librosa 0.11 (`genre.features.report.reference` is the definition).

    Raises `InputError` if `y` is not a mono signal of finite samples, or if the numbers do
    not allow frames or a tempo.
    """
    return _row(checked(y, sr, n_fft, hop_length), sr, n_fft, hop_length)


def extract_segments(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> list[Row]:
    """Compute the 57 columns of each of the ten 3 s segments of a clip.

    Segment `i` is `y[i * 3 * sr : (i + 1) * 3 * sr]`; the last may be shorter. Raises
    `InputError` as `extract`, and if `y` is too short to hold ten segments.
    """
    samples = checked(y, sr, n_fft, hop_length)
    return [_row(segment, sr, n_fft, hop_length) for segment in segments(samples, sr)]


def extract_clip(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> tuple[Row, list[Row]]:
    """Compute the row of a whole clip, and the rows of its ten segments."""
    return (
        extract(y, sr, n_fft=n_fft, hop_length=hop_length),
        extract_segments(y, sr, n_fft=n_fft, hop_length=hop_length),
    )


def compile_kernels() -> None:
    """Compile all kernels now and keep the machine code on the disk: about ten seconds, once.

    Otherwise the first call of `extract` does it.
    """
    from genre.features.report import analysis, pitch, rhythm, shape, temporal, timbre  # noqa: F401


def _row(samples: Samples, sr: float, n_fft: int, hop_length: int) -> Row:
    from genre.features.report import harmonic, pitch, rhythm, shape, temporal, timbre
    from genre.features.report.analysis import analyse, moments

    signal = analyse(samples, sr, n_fft, hop_length)
    frames, magnitudes, padded = signal.frames, signal.magnitudes, signal.padded
    tuning = pitch.tuning(*pitch.peaks(magnitudes, sr, frames))
    chroma = pitch.chroma(magnitudes, sr, tuning, frames)
    centroid, bandwidth, rolloff = shape.shape(magnitudes, sr, frames)
    crossings = temporal.zero_crossing_rate(padded, frames)
    scratch = signal.workspace.separation
    parts = harmonic.moments(signal.spectrum, magnitudes, signal.columns, frames, scratch)
    mel = signal.mel()
    envelope = rhythm.onset_strength(signal.onset_mel(mel), hop_length)

    values = [
        *moments(chroma.reshape(1, -1)),
        *moments(temporal.rms(padded, frames)[np.newaxis]),
        *moments(np.stack([centroid, bandwidth, rolloff, crossings])),
        *parts[0],
        *parts[1],
        rhythm.tempo(envelope, sr, hop_length),
        *moments(timbre.mfcc(mel)),
    ]
    return dict(zip(NAMES, values, strict=True))
