"""The harmonic and the percussive part of a signal, and their means and variances.

Harmonic sounds are horizontal lines in the spectrogram, percussive ones vertical: a median over
time keeps the first, a median over frequency the second, and the greater one gets most of the bin
(Fitzgerald, "Harmonic/percussive separation using median filtering", 2010).

Conventions: as in `spectrum`. The two masks add up to 1, so the percussive part is the signal
without the harmonic part, and one inverse transform does for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from genre.features.report import fourier, medians
from genre.features.report.compiled import ANY_ORDER, FINITE, kernel
from genre.features.report.lanes import LANES, load, load_complex, store_complex, where_less
from genre.features.report.spectrum import Frames, Magnitudes, Spectrum, overlap_add, window_power

SILENT = np.float32(np.finfo(np.float32).tiny)  # where both medians are less, each gets a half
COVERED = 0.1  # of window power: with less over a sample, one inverse transform does not do

Columns = npt.NDArray[np.float32]
Moments = tuple[float, float]  # mean and variance


@dataclass(frozen=True)
class Scratch:
    """The large arrays of a separation: both medians, and a signal as columns."""

    lasting: Magnitudes
    striking: Magnitudes
    sums: Columns

    @classmethod
    def of(cls, frames: Frames) -> Scratch:
        """Make them for `frames`."""
        shape = (frames.n_blocks, frames.n_bins, LANES)
        sums = np.empty((frames.hop_length, frames.n_columns), np.float32)
        return cls(np.empty(shape, np.float32), np.empty(shape, np.float32), sums)


def moments(
    spectrum: Spectrum,
    magnitudes: Magnitudes,
    samples: Columns,
    frames: Frames,
    scratch: Scratch | None = None,
) -> tuple[Moments, Moments]:
    """Return mean and variance of the harmonic and of the percussive part.

    `samples`: the signal as columns. `scratch` is written over. As numpy's of the two signals of
    `librosa.effects.hpss`.
    """
    scratch = scratch or Scratch.of(frames)
    lasting = medians.over_time(magnitudes, frames.n_frames, scratch.lasting)
    striking = medians.over_frequency(magnitudes, scratch.striking)
    harmonic = masked(spectrum, lasting, striking, frames, scratch.sums)
    part, rest = moments_of(harmonic, samples, frames)
    if not _window_scale(frames)[1]:
        percussive = masked(spectrum, striking, lasting, frames, scratch.sums)
        rest, _ = moments_of(percussive, samples, frames)
    return part, rest


def moments_of(sums: Columns, samples: Columns, frames: Frames) -> tuple[Moments, Moments]:
    """Return mean and variance of a part, from `masked`, and of the rest of the signal."""
    scale, _ = _window_scale(frames)
    mean, variance, rest_mean, rest_variance = _moments(
        sums, scale, samples, frames.padding, frames.n_samples
    )
    return (mean, variance), (rest_mean, rest_variance)


def masked(
    spectrum: Spectrum,
    wanted: Magnitudes,
    unwanted: Magnitudes,
    frames: Frames,
    out: Columns | None = None,
) -> Columns:
    """Return the part of a signal that is `wanted`, as columns that still hold the window power.

    The mask is `librosa.util.softmask(wanted, unwanted, power=2, split_zeros=True)`. `out`: where
    to write the columns.
    """
    if out is None:
        out = np.empty((frames.hop_length, frames.n_columns), np.float32)
    out.fill(0.0)
    plan = fourier.plan(frames.n_fft)
    part = np.empty_like(spectrum[0])
    x = np.empty(frames.n_fft * LANES, np.float32)
    numbers, n = spectrum.view(np.float32).reshape(frames.n_blocks, -1), part.view(np.float32)
    flat = [rows.reshape(frames.n_blocks, -1) for rows in (wanted, unwanted)]
    for block in range(frames.n_blocks):
        _mask(numbers[block], flat[0][block], flat[1][block], n.reshape(-1))
        fourier.inverse(part, x, plan)
        overlap_add(x, block, out, frames)
    return out


@lru_cache(maxsize=2)
def _window_scale(frames: Frames) -> tuple[Columns, bool]:
    """Return what undoes the window power, and whether every sample has enough of it."""
    power = window_power(frames)
    inside = power.T.reshape(-1)[frames.padding : frames.padding + frames.n_samples]
    scale = np.ones_like(power)
    np.divide(1.0, power, out=scale, where=power > SILENT)
    return scale, bool(inside.min() >= COVERED)


@kernel("void(f4[::1], f4[::1], f4[::1], f4[::1])", rounding=FINITE)
def _mask(spectrum, wanted, unwanted, part):  # type: ignore[no-untyped-def]
    one = np.float32(1.0)
    for i in range(0, len(wanted), LANES):
        a, b = load(wanted, i), load(unwanted, i)
        high = where_less(a, b, b, a)
        ratio = where_less(high, SILENT, one, where_less(a, b, a, b) / high)
        square = ratio * ratio
        share = where_less(b, a, one, square) / (one + square)
        real, imaginary = load_complex(spectrum, 2 * i)
        store_complex(part, 2 * i, share * real, share * imaginary)


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
