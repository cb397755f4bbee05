"""The harmonic and the percussive part of a signal, and their means and variances.

What lasts is a horizontal line in the spectrogram, what strikes a vertical one: a median over
time keeps the first, a median over frequency the second, and whichever is greater takes most of
the bin (Fitzgerald, "Harmonic/percussive separation using median filtering", 2010).

Conventions: as in `spectrum`. The two masks add up to 1, so the percussive part is the signal
without the harmonic part, and one inverse transform does for both.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from genre.features import fourier, medians
from genre.features.compiled import ANY_ORDER, FINITE, kernel
from genre.features.spectrum import Frames, Magnitudes, Spectrum, overlap_add, window_power

SILENT = np.float32(np.finfo(np.float32).tiny)  # where both medians are less, each gets a half
COVERED = 0.1  # of window power: with less over a sample, one inverse transform does not do

Columns = npt.NDArray[np.float32]
Moments = tuple[float, float]  # mean and variance


def moments(
    spectrum: Spectrum, magnitudes: Magnitudes, samples: Columns, frames: Frames
) -> tuple[Moments, Moments]:
    """Return mean and variance of the harmonic and of the percussive part.

    `samples`: the signal as columns. As numpy's of the two signals of `librosa.effects.hpss`.
    """
    lasting = medians.over_time(magnitudes, frames.n_frames)
    striking = medians.over_frequency(magnitudes)
    harmonic = masked(spectrum, lasting, striking, frames)
    scale, complete = _window_scale(frames)
    first, n = frames.padding, frames.n_samples
    mean, variance, rest_mean, rest_variance = _moments(harmonic, scale, samples, first, n)
    if not complete:
        percussive = masked(spectrum, striking, lasting, frames)
        rest_mean, rest_variance, *_ = _moments(percussive, scale, samples, first, n)
    return (mean, variance), (rest_mean, rest_variance)


def masked(spectrum: Spectrum, wanted: Magnitudes, unwanted: Magnitudes, frames: Frames) -> Columns:
    """Return the part of a signal that is `wanted`, as columns that still hold the window power.

    The mask is `librosa.util.softmask(wanted, unwanted, power=2, split_zeros=True)`.
    """
    sums = np.zeros((frames.hop_length, frames.n_columns), np.float32)
    plan = fourier.plan(frames.n_fft)
    part = np.empty_like(spectrum[0])
    x = np.empty(frames.n_fft * part.shape[1], np.float32)
    for block in range(frames.n_blocks):
        _mask(spectrum[block], wanted[block], unwanted[block], part)
        fourier.inverse(part, x, plan)
        overlap_add(x, block, sums, frames)
    return sums


@lru_cache(maxsize=4)
def _window_scale(frames: Frames) -> tuple[Columns, bool]:
    """Return what undoes the window power, and whether every sample has enough of it."""
    power = window_power(frames)
    inside = power.T.reshape(-1)[frames.padding : frames.padding + frames.n_samples]
    scale = np.ones_like(power)
    np.divide(1.0, power, out=scale, where=power > SILENT)
    return scale, bool(inside.min() >= COVERED)


@kernel("void(c8[:, ::1], f4[:, ::1], f4[:, ::1], c8[:, ::1])", rounding=FINITE)
def _mask(spectrum, wanted, unwanted, part):  # type: ignore[no-untyped-def]
    n_bins, n_lanes = spectrum.shape
    for k in range(n_bins):
        for j in range(n_lanes):
            a, b = wanted[k, j], unwanted[k, j]
            high, low = (a, b) if a > b else (b, a)
            ratio = low / high if high >= SILENT else np.float32(1.0)
            square = ratio * ratio
            share = np.float32(1.0) / (np.float32(1.0) + square)
            part[k, j] = spectrum[k, j] * (share if a > b else square * share)


@kernel("UniTuple(f8, 4)(f4[:, ::1], f4[:, ::1], f4[:, ::1], i8, i8)", rounding=ANY_ORDER)
def _moments(sums, scale, samples, first, n):  # type: ignore[no-untyped-def]
    """Return mean and variance of the part, then of the rest of the signal."""
    hop_length = len(sums)
    total = square = rest_total = rest_square = 0.0
    for c in range(hop_length):
        start = (first - c + hop_length - 1) // hop_length
        stop = (first + n - c + hop_length - 1) // hop_length
        for column in range(start, stop):
            part = np.float64(sums[c, column] * scale[c, column])
            rest = np.float64(samples[c, column]) - part
            total += part
            square += part * part
            rest_total += rest
            rest_square += rest * rest
    mean, rest_mean = total / n, rest_total / n
    return mean, square / n - mean * mean, rest_mean, rest_square / n - rest_mean * rest_mean
