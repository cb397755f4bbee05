"""Fourier transforms of `LANES` real signals at once.

Conventions: samples lie in one flat array, sample by sample: `x[n * LANES + lane]`. A spectrum is
float32 or float64, shape=(n_bins, 2 * LANES), real and imaginary parts interleaved as in a
complex array. The lengths that are powers of two take a radix-4 transform of half the length
(each pair of samples is one complex number), whose innermost loops run over the lanes: no
shuffles, and three to four times the speed of a transform of one signal after the other. Any
other length goes through numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.features.compiled import FINITE, LANES, inline, kernel

PAIR = 2 * LANES  # the real and the imaginary parts of one complex number in each lane
SHORTEST = 8  # samples: what the radix-4 transform needs


@dataclass(frozen=True)
class Plan:
    """The tables of one length: `n` samples, `n_bins` frequencies.

    `turns`: exp(-2 pi i k / n) for k < n as float64 and float32; `places`: where the transform
    of half the length leaves each frequency. Both are empty where numpy does the work.
    """

    n: int
    turns: dict[type, npt.NDArray[Any]]
    places: npt.NDArray[np.int64]

    @property
    def n_bins(self) -> int:
        """Number of frequencies from zero to half the sampling rate."""
        return 1 + self.n // 2


@lru_cache(maxsize=8)
def plan(n: int) -> Plan:
    """Make the tables for signals of `n` samples."""
    if n < SHORTEST or n & (n - 1):
        return Plan(n, {}, np.empty(0, np.int64))
    turns = np.exp(-2j * np.pi * np.arange(n) / n)
    both = np.stack([turns.real, turns.imag])
    order = _order(n // 2)
    return Plan(n, {np.float64: both, np.float32: both.astype(np.float32)}, np.argsort(order))


def _order(n: int) -> npt.NDArray[np.int64]:
    """Return the frequency that the decimation leaves at each place."""
    if n == 1:
        return np.zeros(1, np.int64)
    radix = 4 if n % 4 == 0 else 2
    rest = _order(n // radix)
    return np.concatenate([rest * radix + first for first in range(radix)])


def forward(x: npt.NDArray[np.float64], spectrum: npt.NDArray[Any], plan: Plan) -> None:
    """Write the spectra of real signals, as `scipy.fft.rfft` gives them; `x` is used up.

    `x`: float64, shape=(n * LANES,). `spectrum`: complex64 or complex128, shape=(n_bins, LANES).
    """
    if len(plan.places):
        real = np.float32 if spectrum.dtype == np.complex64 else np.float64
        _forward(x, plan.turns[np.float64], plan.places, spectrum.view(real))
    else:
        spectrum[:] = np.fft.rfft(x.reshape(plan.n, LANES), axis=0)


def inverse(spectrum: npt.NDArray[np.complex64], x: npt.NDArray[np.float32], plan: Plan) -> None:
    """Write the real signals of spectra, as `scipy.fft.irfft` gives them.

    `spectrum`: shape=(n_bins, LANES). `x`: shape=(n * LANES,).
    """
    if len(plan.places):
        _inverse(spectrum.view(np.float32), plan.turns[np.float32], plan.places, x)
    else:
        x.reshape(plan.n, LANES)[:] = np.fft.irfft(spectrum, n=plan.n, axis=0)


@inline
def _split(r0, r1, r2, r3, a1, b1, a2, b2, a3, b3):  # type: ignore[no-untyped-def]
    """Radix-4 butterfly of a decimation in frequency; `a + bi` are the turns after it."""
    for j in range(LANES):
        i = j + LANES
        sr, si, dr, di = r0[j] + r2[j], r0[i] + r2[i], r0[j] - r2[j], r0[i] - r2[i]
        tr, ti, er, ei = r1[j] + r3[j], r1[i] + r3[i], r1[i] - r3[i], r3[j] - r1[j]
        r0[j], r0[i] = sr + tr, si + ti
        ur, ui, vr, vi, wr, wi = dr + er, di + ei, sr - tr, si - ti, dr - er, di - ei
        r1[j], r1[i] = ur * a1 - ui * b1, ur * b1 + ui * a1
        r2[j], r2[i] = vr * a2 - vi * b2, vr * b2 + vi * a2
        r3[j], r3[i] = wr * a3 - wi * b3, wr * b3 + wi * a3


@inline
def _join(r0, r1, r2, r3, a1, b1, a2, b2, a3, b3):  # type: ignore[no-untyped-def]
    """Undo `_split`, times four; `a + bi` are the same turns, and are taken back first."""
    for j in range(LANES):
        i = j + LANES
        ur, ui = r1[j] * a1 + r1[i] * b1, r1[i] * a1 - r1[j] * b1
        vr, vi = r2[j] * a2 + r2[i] * b2, r2[i] * a2 - r2[j] * b2
        wr, wi = r3[j] * a3 + r3[i] * b3, r3[i] * a3 - r3[j] * b3
        sr, si, dr, di = r0[j] + vr, r0[i] + vi, r0[j] - vr, r0[i] - vi
        tr, ti, er, ei = ur + wr, ui + wi, wi - ui, ur - wr
        r0[j], r0[i], r1[j], r1[i] = sr + tr, si + ti, dr + er, di + ei
        r2[j], r2[i], r3[j], r3[i] = sr - tr, si - ti, dr - er, di - ei


@inline
def _pairs(z):  # type: ignore[no-untyped-def]
    """Radix-2 butterflies of neighbours, the last or first stage where a factor 2 is left."""
    for start in range(0, len(z), 2 * PAIR):
        first, second = z[start : start + PAIR], z[start + PAIR : start + 2 * PAIR]
        for j in range(PAIR):
            a, b = first[j], second[j]
            first[j], second[j] = a + b, a - b


@inline
def _row(z, k):  # type: ignore[no-untyped-def]
    return z[k * PAIR : (k + 1) * PAIR]


@kernel(
    "void(f8[::1], f8[:, ::1], i8[::1], f4[:, ::1])",
    "void(f8[::1], f8[:, ::1], i8[::1], f8[:, ::1])",
    rounding=FINITE,
)
def _forward(z, turns, places, spectrum):  # type: ignore[no-untyped-def]
    half = len(places)
    cos, sin = turns[0], turns[1]
    span = half
    while span >= 4:
        quarter, step = span // 4, 2 * (half // span)
        for start in range(0, half, span):
            for k in range(quarter):
                p, t = start + k, k * step
                _split(
                    _row(z, p),
                    _row(z, p + quarter),
                    _row(z, p + 2 * quarter),
                    _row(z, p + 3 * quarter),
                    cos[t],
                    sin[t],
                    cos[2 * t],
                    sin[2 * t],
                    cos[3 * t],
                    sin[3 * t],
                )
        span //= 4
    if span == 2:
        _pairs(z)
    # The spectra of the even and of the odd samples are the two symmetric parts of what is there.
    for k in range(half // 2 + 1):
        a, b = _row(z, places[k]), _row(z, places[half - k if k else 0])
        low, high = spectrum[k], spectrum[half - k]
        c, s = cos[k], sin[k]
        for j in range(LANES):
            i = j + LANES
            dr, di = a[i] + b[i], b[j] - a[j]
            low[2 * j] = 0.5 * (a[j] + b[j] + c * dr - s * di)
            low[2 * j + 1] = 0.5 * (a[i] - b[i] + c * di + s * dr)
        for j in range(LANES):
            i = j + LANES
            dr, di = a[i] + b[i], b[j] - a[j]
            high[2 * j] = 0.5 * (a[j] + b[j] - c * dr + s * di)
            high[2 * j + 1] = 0.5 * (b[i] - a[i] + c * di + s * dr)


@kernel("void(f4[:, ::1], f4[:, ::1], i8[::1], f4[::1])", rounding=FINITE)
def _inverse(spectrum, turns, places, z):  # type: ignore[no-untyped-def]
    half = len(places)
    cos, sin = turns[0], turns[1]
    scale = np.float32(0.5 / half)
    for k in range(half // 2 + 1):
        a, b = _row(z, places[k]), _row(z, places[half - k if k else 0])
        low, high = spectrum[k], spectrum[half - k]
        c, s = cos[k], sin[k]
        for j in range(LANES):
            dr, di = low[2 * j] - high[2 * j], low[2 * j + 1] + high[2 * j + 1]
            a[j] = scale * (low[2 * j] + high[2 * j] - c * di + s * dr)
            a[j + LANES] = scale * (low[2 * j + 1] - high[2 * j + 1] + c * dr + s * di)
        for j in range(LANES):
            dr, di = low[2 * j] - high[2 * j], low[2 * j + 1] + high[2 * j + 1]
            b[j] = scale * (low[2 * j] + high[2 * j] + c * di - s * dr)
            b[j + LANES] = scale * (high[2 * j + 1] - low[2 * j + 1] + c * dr + s * di)
    span = half
    while span > 2:
        span //= 4
    if span == 2:
        _pairs(z)
    span *= 4
    while span <= half:
        quarter, step = span // 4, 2 * (half // span)
        for start in range(0, half, span):
            for k in range(quarter):
                p, t = start + k, k * step
                _join(
                    _row(z, p),
                    _row(z, p + quarter),
                    _row(z, p + 2 * quarter),
                    _row(z, p + 3 * quarter),
                    cos[t],
                    sin[t],
                    cos[2 * t],
                    sin[2 * t],
                    cos[3 * t],
                    sin[3 * t],
                )
        span *= 4
