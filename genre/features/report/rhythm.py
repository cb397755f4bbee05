"""Onset strength and tempo.

Conventions: a mel spectrum is in decibels, shape=(n_frames, N_MELS); an onset envelope is
float32, shape=(n_frames,), in dB; tempo in beats per minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.features.report import filters, fourier
from genre.features.report.compiled import FINITE, kernel
from genre.features.report.lanes import LANES, load, load_complex, spread, store, wide

ONSET_N_FFT = 2048  # samples: `librosa.beat.beat_track` has no other
LAG = 1  # frames between the spectra that are compared
WINDOW_SECONDS = 8.0  # of the autocorrelation
START_BPM, MAX_BPM = 120.0, 320.0
OCTAVES = 1.0  # standard deviation of the prior around START_BPM
SILENT = float(np.finfo(np.float64).tiny)

Envelope = npt.NDArray[np.float32]


def onset_strength(mel: npt.NDArray[np.float32], hop_length: int) -> Envelope:
    """Return how much louder the median mel band of each frame is than in the frame before.

    As `librosa.onset.onset_strength(..., aggregate=numpy.median)`, which is what
    `librosa.beat.beat_track` uses. The envelope is late by half a window, so that it lies
    over the samples.
    """
    n_frames = len(mel)
    delay = LAG + ONSET_N_FFT // (2 * hop_length)
    envelope = np.zeros(max(n_frames, n_frames - LAG + delay), np.float32)
    _median_rise(mel, envelope[delay:])
    return envelope[:n_frames]


def tempo(envelope: Envelope, sr: float, hop_length: int) -> float:
    """Return the tempo that `librosa.beat.beat_track` finds; 0 without onsets.

    The autocorrelations of eight seconds around each frame, each divided by its value at lag 0,
    are averaged, and the lag that is greatest with a log-normal prior around 120 is taken. Only
    the average is transformed back from the frequencies: both are sums.

    Raises `InputError` if frames are so far apart that no lag fits into eight seconds.
    """
    lags = _lags(sr, hop_length)
    if not envelope.any():
        return 0.0
    width = len(lags.bpm)
    n_blocks = -(-len(envelope) // LANES)
    reach = width // 2
    ramped = np.zeros(max(n_blocks * LANES + width, len(envelope) + 2 * reach), np.float32)
    n = len(envelope)
    ramped[:reach] = np.linspace(0, envelope[0], reach, endpoint=False)
    ramped[reach : reach + n] = envelope
    ramped[reach + n : 2 * reach + n] = np.linspace(0, envelope[-1], reach, endpoint=False)[::-1]
    plan = fourier.plan(lags.n_fft)
    x, energy = np.empty(lags.n_fft * LANES), np.empty(LANES)
    spectrum = np.empty((plan.n_bins, LANES), np.complex128)
    real, power = spectrum.view(np.float64).reshape(-1), np.zeros(plan.n_bins * LANES)
    for block in range(n_blocks):
        _window(ramped[block * LANES :], filters.hann(width), x, energy)
        fourier.forward(x, spectrum, plan)
        _add_power(real, energy, len(envelope) - block * LANES, power)
    mean = np.fft.irfft(power.reshape(-1, LANES).sum(axis=1), lags.n_fft)[:width] / len(envelope)
    return float(lags.bpm[np.argmax(np.log1p(1e6 * mean) + lags.log_prior)])


@dataclass(frozen=True)
class _Lags:
    """What belongs to each lag, in frames from 0 on: tempo and logarithm of its prior."""

    bpm: npt.NDArray[np.float64]
    log_prior: npt.NDArray[np.float64]
    n_fft: int  # a power of two that holds the autocorrelation


@lru_cache(maxsize=8)
def _lags(sr: float, hop_length: int) -> _Lags:
    n_lags = int(WINDOW_SECONDS * sr) // hop_length
    if n_lags < 2:
        raise InputError(
            f"hop_length is {hop_length} samples at {sr:g} Hz: expected at most "
            f"{int(WINDOW_SECONDS * sr) // 2}, so that {WINDOW_SECONDS:g} s hold two frames"
        )
    bpm = np.full(n_lags, np.inf)
    bpm[1:] = 60.0 * sr / (hop_length * np.arange(1.0, n_lags))
    log_prior = -0.5 * ((np.log2(bpm) - np.log2(START_BPM)) / OCTAVES) ** 2
    log_prior[: int(np.argmax(bpm < MAX_BPM))] = -np.inf
    return _Lags(bpm, log_prior, max(fourier.SHORTEST, 1 << (2 * n_lags - 2).bit_length()))


@kernel("void(f4[:, ::1], f4[::1])")
def _median_rise(mel, rise):  # type: ignore[no-untyped-def]
    """Write the median over the bands of what each frame has gained on the one before.

    Loudness that falls counts as zero. The bits of floats that are not negative are in the order
    of their values, so that the median's bits are found from the highest down.
    """
    n_frames, n_bands = mel.shape
    gains = np.empty(n_bands, np.float32)
    bits = gains.view(np.int32)
    middle = n_bands // 2
    for frame in range(1, n_frames):
        risen = 0
        for band in range(n_bands):
            gain = mel[frame, band] - mel[frame - 1, band]
            gains[band] = gain if gain > 0 else np.float32(0.0)
            risen += gain > 0
        if risen < middle:
            rise[frame - 1] = 0.0
            continue
        upper = np.int32(0)
        for bit in range(30, -1, -1):
            trial = upper | np.int32(1 << bit)
            below = np.int32(0)
            for band in range(n_bands):
                below += np.int32(bits[band] < trial)
            if below <= middle:
                upper = trial
        lower, below = np.int32(0), np.int32(0)
        for band in range(n_bands):
            if bits[band] < upper:
                below += 1
                lower = max(lower, bits[band])
        bits[0] = upper
        high = gains[0]
        if below == middle:
            bits[0] = lower
        rise[frame - 1] = (gains[0] + high) / np.float32(2.0)


@kernel("void(f4[::1], f8[::1], f8[::1], f8[::1])", rounding=FINITE)
def _window(envelope, window, x, energy):  # type: ignore[no-untyped-def]
    """Write the windowed stretches from each lane on to `x`, and their energies."""
    total = zero = spread(0.0)
    for n in range(len(window)):
        value = window[n] * wide(load(envelope, n))
        store(x, n * LANES, value)
        total += value * value
    for n in range(len(window), len(x) // LANES):
        store(x, n * LANES, zero)
    store(energy, 0, total)


@kernel("void(f8[::1], f8[::1], i8, f8[::1])", rounding=FINITE)
def _add_power(spectrum, energy, n_lanes, power):  # type: ignore[no-untyped-def]
    """Add the power spectra of the first lanes, each divided by its energy, to those before."""
    for lane in range(LANES):
        if lane >= n_lanes:
            energy[lane] = 0.0
        else:
            energy[lane] = 1.0 / energy[lane] if energy[lane] >= SILENT else 1.0
    scale = load(energy, 0)
    for i in range(0, len(power), LANES):
        real, imaginary = load_complex(spectrum, 2 * i)
        store(power, i, load(power, i) + scale * (real * real + imaginary * imaginary))
