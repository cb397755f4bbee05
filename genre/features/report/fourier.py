"""Fourier transforms of `LANES` real signals at once.

Conventions: samples lie in one flat array, sample by sample: `x[n * LANES + lane]`. The lengths
that are powers of two take a radix-4 transform of half the length (each pair of samples is one
complex number) in which every operation is done for all lanes: no shuffles, and three to four
times the speed of a transform of one signal after the other. Any other length goes through numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.features.report.compiled import FINITE, inline, kernel
from genre.features.report.lanes import LANES, load, load_complex, store, store_complex

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
        _forward(x, plan.turns[np.float64], plan.places, spectrum.view(real).reshape(-1))
    else:
        spectrum[:] = np.fft.rfft(x.reshape(plan.n, LANES), axis=0)


def inverse(spectrum: npt.NDArray[np.complex64], x: npt.NDArray[np.float32], plan: Plan) -> None:
    """Write the real signals of spectra, as `scipy.fft.irfft` gives them.

    `spectrum`: shape=(n_bins, LANES). `x`: shape=(n * LANES,).
    """
    if len(plan.places):
        _inverse(spectrum.view(np.float32).reshape(-1), plan.turns[np.float32], plan.places, x)
    else:
        x.reshape(plan.n, LANES)[:] = np.fft.irfft(spectrum, n=plan.n, axis=0)


@inline
def _read(z, row):  # type: ignore[no-untyped-def]
    return load(z, row * PAIR), load(z, row * PAIR + LANES)


@inline
def _write(z, row, real, imaginary):  # type: ignore[no-untyped-def]
    store(z, row * PAIR, real)
    store(z, row * PAIR + LANES, imaginary)


@inline
def _turn(real, imaginary, cos, sin):  # type: ignore[no-untyped-def]
    return real * cos - imaginary * sin, real * sin + imaginary * cos


@inline
def _split(z, row, quarter, turns, t):  # type: ignore[no-untyped-def]
    """Radix-4 butterfly of a decimation in frequency, of rows a `quarter` apart."""
    ar, ai = _read(z, row)
    br, bi = _read(z, row + quarter)
    cr, ci = _read(z, row + 2 * quarter)
    dr, di = _read(z, row + 3 * quarter)
    sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
    ur, ui, vr, vi = br + dr, bi + di, bi - di, dr - br
    _write(z, row, sr + ur, si + ui)
    cos, sin = turns[0], turns[1]
    br, bi = _turn(tr + vr, ti + vi, cos[t], sin[t])
    _write(z, row + quarter, br, bi)
    cr, ci = _turn(sr - ur, si - ui, cos[2 * t], sin[2 * t])
    _write(z, row + 2 * quarter, cr, ci)
    dr, di = _turn(tr - vr, ti - vi, cos[3 * t], sin[3 * t])
    _write(z, row + 3 * quarter, dr, di)


@inline
def _join(z, row, quarter, turns, t):  # type: ignore[no-untyped-def]
    """Undo `_split`, times four."""
    cos, sin = turns[0], turns[1]
    ar, ai = _read(z, row)
    br, bi = _read(z, row + quarter)
    cr, ci = _read(z, row + 2 * quarter)
    dr, di = _read(z, row + 3 * quarter)
    br, bi = _turn(br, bi, cos[t], -sin[t])
    cr, ci = _turn(cr, ci, cos[2 * t], -sin[2 * t])
    dr, di = _turn(dr, di, cos[3 * t], -sin[3 * t])
    sr, si, tr, ti = ar + cr, ai + ci, ar - cr, ai - ci
    ur, ui, vr, vi = br + dr, bi + di, di - bi, br - dr
    _write(z, row, sr + ur, si + ui)
    _write(z, row + quarter, tr + vr, ti + vi)
    _write(z, row + 2 * quarter, sr - ur, si - ui)
    _write(z, row + 3 * quarter, tr - vr, ti - vi)


@inline
def _pairs(z, half):  # type: ignore[no-untyped-def]
    """Radix-2 butterflies of neighbours: the last, or first, stage where a factor 2 is left."""
    for row in range(0, half, 2):
        ar, ai = _read(z, row)
        br, bi = _read(z, row + 1)
        _write(z, row, ar + br, ai + bi)
        _write(z, row + 1, ar - br, ai - bi)


@kernel(
    "void(f8[::1], f8[:, ::1], i8[::1], f4[::1])",
    "void(f8[::1], f8[:, ::1], i8[::1], f8[::1])",
    rounding=FINITE,
)
def _forward(z, turns, places, spectrum):  # type: ignore[no-untyped-def]
    half = len(places)
    span = half
    while span >= 4:
        quarter, step = span // 4, 2 * (half // span)
        for start in range(0, half, span):
            for k in range(quarter):
                _split(z, start + k, quarter, turns, k * step)
        span //= 4
    if span == 2:
        _pairs(z, half)
    # The spectra of the even and of the odd samples are the two symmetric parts of what is there.
    for k in range(half // 2 + 1):
        ar, ai = _read(z, places[k])
        br, bi = _read(z, places[half - k if k else 0])
        tr, ti = _turn(ai + bi, br - ar, turns[0, k], turns[1, k])
        er, ei = ar + br, ai - bi
        store_complex(spectrum, k * PAIR, 0.5 * (er + tr), 0.5 * (ei + ti))
        store_complex(spectrum, (half - k) * PAIR, 0.5 * (er - tr), 0.5 * (ti - ei))


@kernel("void(f4[::1], f4[:, ::1], i8[::1], f4[::1])", rounding=FINITE)
def _inverse(spectrum, turns, places, z):  # type: ignore[no-untyped-def]
    half = len(places)
    scale = np.float32(0.5 / half)
    for k in range(half // 2 + 1):
        ar, ai = load_complex(spectrum, k * PAIR)
        br, bi = load_complex(spectrum, (half - k) * PAIR)
        tr, ti = _turn(ar - br, ai + bi, turns[0, k], -turns[1, k])
        er, ei = ar + br, ai - bi
        _write(z, places[k], scale * (er - ti), scale * (ei + tr))
        _write(z, places[half - k if k else 0], scale * (er + ti), scale * (tr - ei))
    span = half
    while span > 2:
        span //= 4
    if span == 2:
        _pairs(z, half)
    span *= 4
    while span <= half:
        quarter, step = span // 4, 2 * (half // span)
        for start in range(0, half, span):
            for k in range(quarter):
                _join(z, start + k, quarter, turns, k * step)
        span *= 4
