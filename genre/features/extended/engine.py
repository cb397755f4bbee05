"""Compute the extended columns from samples, with the spectrum of the 57.

Kernels are imported with the first signal, so that importing this module is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.features.extended.names import CORRELATED, NAMES
from genre.features.report.signals import Samples, checked, segments

if TYPE_CHECKING:
    from genre.features.report.analysis import Analysis

Row = dict[str, float]


def extract(y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512) -> Row:
    """Compute the extended columns of one signal.

    `y`: float32, shape=(n,), n >= 1. `sr`: Hz. `n_fft` and `hop_length`: samples, as passed to
    every librosa function that takes them. Returns the columns in the order of `NAMES`
    (`genre.features.extended.reference` is the definition), every one of them finite.

    Raises `InputError` if `y` is not a mono signal of finite samples, if the numbers do not
    allow frames, or if `sr` is too low for the highest octave of the spectral contrast.
    """
    return _row(checked(y, sr, n_fft, hop_length), sr, n_fft, hop_length)


def extract_clip(
    y: npt.ArrayLike, sr: float, *, n_fft: int = 2048, hop_length: int = 512
) -> tuple[Row, list[Row]]:
    """Compute the row of a whole clip, and the rows of its ten 3 s segments.

    Raises `InputError` as `extract`, and if `y` is too short to hold ten segments.
    """
    samples = checked(y, sr, n_fft, hop_length)
    parts = [_row(part, sr, n_fft, hop_length) for part in segments(samples, sr)]
    return _row(samples, sr, n_fft, hop_length), parts


def _row(samples: Samples, sr: float, n_fft: int, hop_length: int) -> Row:
    from genre.features.extended import change, contrast
    from genre.features.report import timbre
    from genre.features.report.analysis import analyse, moments

    signal = analyse(samples, sr, n_fft, hop_length)
    mel = signal.mel()
    mfcc = timbre.mfcc(mel)
    values = [
        *moments(contrast.contrast(signal.magnitudes, sr, signal.frames)),
        *map(float, change.acceleration(mfcc).var(axis=1)),
        *map(float, change.correlations(mfcc[:CORRELATED])),
        *_harmony(signal),
        *_level(signal),
        *_onset(signal, signal.onset_mel(mel)),
    ]
    return dict(zip(NAMES, values, strict=True))


def _harmony(signal: Analysis) -> list[float]:
    from genre.features.extended import harmony
    from genre.features.report import pitch

    tuning = pitch.tuning(*pitch.peaks(signal.magnitudes, signal.sr, signal.frames))
    chroma = pitch.chroma(signal.magnitudes, signal.sr, tuning, signal.frames)
    unit = harmony.normalised(chroma)
    bits = harmony.entropy(chroma)
    return [
        *harmony.intervals(unit),
        *harmony.persistence(unit),
        float(bits.mean()),
        float(bits.var()),
        float(chroma.var(axis=1, dtype=np.float64).mean()),
    ]


def _level(signal: Analysis) -> list[float]:
    from genre.features.extended import level
    from genre.features.report import temporal

    rms = temporal.rms(signal.padded, signal.frames)
    levels = level.levels(rms)
    steps = np.diff(levels) if len(levels) > 1 else np.zeros(1)
    return [
        float(levels.mean()),
        float(levels.std()),
        *map(float, np.percentile(levels, [5, 50])),
        float(steps.var()),
        float(np.abs(steps).mean()),
        level.low_energy(rms),
        level.variation(rms),
        level.skewness(rms),
        level.crest(signal.samples),
    ]


def _onset(signal: Analysis, mel: npt.NDArray[np.float32]) -> list[float]:
    from genre.features.extended import level, onsets

    hop_length = signal.frames.hop_length
    envelope = onsets.strength(mel, hop_length)
    places = onsets.onsets(envelope, signal.sr, hop_length)
    seconds = len(signal.samples) / signal.sr
    intervals = np.diff(places) * (hop_length / signal.sr)
    if len(intervals) < onsets.ENOUGH_INTERVALS:
        intervals = np.array([seconds])
    mean = float(envelope.mean())
    return [
        len(places) / seconds,
        float(intervals.mean()),
        float(intervals.std() / intervals.mean()),
        float(envelope[places].mean()) if len(places) else 0.0,
        mean,
        float(envelope.var()),
        level.skewness(envelope),
        float(np.percentile(envelope, 95)) / mean if mean else 0.0,
    ]
