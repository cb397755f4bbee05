"""Single notes of the demo band's instruments.

Conventions: a note is float32, shape=(n,), mono at `SAMPLE_RATE`, with a peak near 1. Every
function takes a frequency in Hz, a length in seconds and a `variant`, a small integer that picks
among a few renderings of the same note (another pluck, another vowel). The same arguments give
the same samples. A note may ring longer than it was asked to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from genre.audio import SAMPLE_RATE

Samples = npt.NDArray[np.float32]
Instrument = Callable[[float, float, int], Samples]
Amplitudes = Callable[[npt.NDArray[np.float64], float], npt.NDArray[np.float64]]

HIGHEST_PARTIAL = 0.45 * SAMPLE_RATE  # Hz: partials above it would alias or be lost in resampling
TABLE_SIZE = 2048  # samples of one cycle
VOWELS = (  # formants of a singer: centre in Hz, after Peterson and Barney (1952)
    (730.0, 1090.0, 2440.0),
    (530.0, 1840.0, 2480.0),
    (570.0, 840.0, 2410.0),
    (300.0, 870.0, 2240.0),
)


@lru_cache(maxsize=64)
def _sections(kind: str, cutoff: float, order: int) -> npt.NDArray[np.float64]:
    sections: npt.NDArray[np.float64] = butter(order, cutoff, kind, fs=SAMPLE_RATE, output="sos")
    return sections


def filtered(samples: Samples, kind: str, cutoff: float, order: int = 2) -> Samples:
    """`samples` through a Butterworth filter; `kind` is `lowpass` or `highpass`, `cutoff` in Hz."""
    sections = _sections(kind, cutoff, order).astype(np.float32)
    result: Samples = sosfilt(sections, samples, axis=0).astype(np.float32)
    return result


def faded(samples: Samples, attack: float, release: float) -> Samples:
    """`samples` with a linear rise of `attack` s and a linear fall of `release` s, in place."""
    rise = min(max(int(attack * SAMPLE_RATE), 1), len(samples))
    fall = min(max(int(release * SAMPLE_RATE), 1), len(samples))
    samples[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    samples[len(samples) - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
    return samples


def _cycle(amplitudes: Amplitudes, frequency: float) -> Samples:
    """One cycle of a tone, shape=(TABLE_SIZE,), its partials as `amplitudes(k, frequency)` says."""
    k = np.arange(1, max(int(HIGHEST_PARTIAL / frequency), 1) + 1, dtype=np.float64)
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, dtype=np.complex128)
    # Schroeder's phases keep a tone with many partials from peaking at one instant.
    spectrum[1 : len(k) + 1] = amplitudes(k, frequency) * np.exp(-1j * np.pi * k * k / len(k))
    cycle = np.fft.irfft(spectrum, TABLE_SIZE)
    table: Samples = (cycle / np.abs(cycle).max()).astype(np.float32)
    return table


def tone(
    amplitudes: Amplitudes,
    *,
    attack: float = 0.01,
    release: float = 0.05,
    decay: float = 0.0,
    vibrato: float = 0.0,
    scoop: float = 0.0,
    chorus: float = 0.0,
    breath: float = 0.0,
) -> Instrument:
    """An instrument that reads one cycle over and over.

    `decay` is the time constant in s of an exponential fall (0: the tone is held), `vibrato` the
    depth and `scoop` the slide up from below in cents, `chorus` the detuning in cents of a second
    voice, `breath` the share of noise.
    """

    def note(frequency: float, seconds: float, variant: int) -> Samples:
        n = int(seconds * SAMPLE_RATE)
        t = np.arange(n, dtype=np.float32) / SAMPLE_RATE
        cents = np.zeros(n, dtype=np.float32)
        if vibrato:
            cents += vibrato * np.minimum(t / 0.4, 1) * np.sin(2 * np.pi * (5 + variant / 4) * t)
        if scoop:
            cents -= scoop * np.exp(-t / 0.04)
        speed = frequency / SAMPLE_RATE * TABLE_SIZE * (1 + cents * np.float32(np.log(2) / 1200))
        position = np.cumsum(speed, dtype=np.float64)
        cycle = _cycle(amplitudes, frequency)
        samples = cycle[position.astype(np.int64) % TABLE_SIZE]
        if chorus:
            second = position * 2 ** (chorus / 1200) + TABLE_SIZE / 3
            samples = 0.5 * (samples + cycle[second.astype(np.int64) % TABLE_SIZE])
        if decay:
            samples = samples * np.exp(-t / decay)
        if breath:
            noise = np.random.default_rng(variant).standard_normal(n, dtype=np.float32)
            samples = samples + breath * filtered(noise, "lowpass", 4000.0)
        return faded(samples, attack, release)

    return note


def plucked(*, brightness: float, decay: float, body: float = 0.0) -> Instrument:
    """A string after Karplus and Strong (1983).

    `brightness` from 0 to 1 is how hard the pluck is, `decay` the time in s in which the
    fundamental falls by 60 dB, `body` the cut-off in Hz of a damped (palm-muted) string (0: none).
    """

    def note(frequency: float, seconds: float, variant: int) -> Samples:
        rng = np.random.default_rng((int(frequency * 8), variant))
        period = max(int(SAMPLE_RATE / frequency), 2)
        # A whole number of samples a period is up to 2 % sharp: read slightly slower to mend it.
        slower = frequency * (period + 0.5) / SAMPLE_RATE
        ring = min(seconds + 0.15, decay)
        n = int(ring * SAMPLE_RATE * slower) + period + 2
        string = np.empty(n, dtype=np.float32)
        burst: Samples = rng.uniform(-1, 1, period + 1).astype(np.float32)
        smooth = np.convolve(np.concatenate([burst, burst]), np.ones(8, np.float32) / 8, "same")
        burst = (brightness * burst + (1 - brightness) * 2 * smooth[: period + 1]).astype(
            np.float32
        )
        string[: period + 1] = burst - burst.mean()
        loss = np.float32(0.5 * 10 ** (-3 / (decay * frequency)))
        for start in range(period + 1, n, period):
            stop = min(start + period, n)
            length = stop - start
            before = string[start - period : start - period + length]
            earlier = string[start - period - 1 : start - period - 1 + length]
            string[start:stop] = loss * (before + earlier)
        positions = np.arange(int(ring * SAMPLE_RATE), dtype=np.float32) * np.float32(slower)
        samples = np.interp(positions, np.arange(n), string).astype(np.float32)
        if body:
            samples = filtered(samples, "lowpass", body)
        samples /= np.abs(samples).max()
        return faded(samples, 0.001, 0.08)

    return note


def modulated(*, ratio: float, index: float, decay: float, fall: float = 0.2) -> Instrument:
    """Frequency modulation after Chowning (1973): modulator at `ratio` times the frequency.

    The modulation `index` dies away with time constant `fall`, the tone with `decay`, in s.
    """

    def note(frequency: float, seconds: float, variant: int) -> Samples:
        t = np.arange(int((seconds + 0.1) * SAMPLE_RATE), dtype=np.float32) / SAMPLE_RATE
        depth = index * (1 + 0.1 * variant) * min(1.0, 1500 / frequency)
        bend = depth * np.exp(-t / fall) * np.sin(2 * np.pi * frequency * ratio * t)
        samples = np.sin(2 * np.pi * frequency * t + bend) * np.exp(-t / decay)
        return faded(samples.astype(np.float32), 0.002, 0.08)

    return note


def _power(slope: float, odd_only: bool = False) -> Amplitudes:
    """Partials that fall as k to the minus `slope`."""

    def amplitudes(k: npt.NDArray[np.float64], _: float) -> npt.NDArray[np.float64]:
        weight = k**-slope
        return np.where(k % 2 == 1, weight, 0.04 * weight) if odd_only else weight

    return amplitudes


def _drawbars(*levels: float) -> Amplitudes:
    """The pipes of an electric organ: partials 1, 2, 3, 4, 6, 8."""
    pipes = dict(zip((1, 2, 3, 4, 6, 8), levels, strict=True))

    def amplitudes(k: npt.NDArray[np.float64], _: float) -> npt.NDArray[np.float64]:
        return np.array([pipes.get(int(number), 0.0) for number in k])

    return amplitudes


def _formants(centres: tuple[float, ...], slope: float) -> Amplitudes:
    """Partials under the resonances of a mouth or a horn; `centres` in Hz."""

    def amplitudes(k: npt.NDArray[np.float64], frequency: float) -> npt.NDArray[np.float64]:
        hertz = k * frequency
        peaks = sum(np.exp(-(((hertz - c) / (90 + 0.08 * c)) ** 2)) for c in centres)
        return np.asarray(k**-slope * (0.08 + peaks))

    return amplitudes


def _singer(**settings: float) -> Instrument:
    vowels = [tone(_formants(vowel, 0.6), **settings) for vowel in VOWELS]

    def note(frequency: float, seconds: float, variant: int) -> Samples:
        return vowels[variant % len(vowels)](frequency, seconds, variant)

    return note


INSTRUMENTS: dict[str, Instrument] = {
    "acoustic guitar": plucked(brightness=0.6, decay=2.2),
    "nylon guitar": plucked(brightness=0.2, decay=1.6),
    "electric guitar": plucked(brightness=0.35, decay=3.0),
    "steel guitar": tone(_power(1.5), attack=0.03, decay=1.5, vibrato=25, scoop=120),
    "banjo": plucked(brightness=0.9, decay=0.6),
    "muted guitar": plucked(brightness=0.5, decay=0.35, body=2500.0),
    "palm mute": plucked(brightness=0.6, decay=0.5, body=1200.0),
    "saw guitar": tone(_power(0.9), attack=0.004, decay=2.5, chorus=9),
    "piano": modulated(ratio=1.0, index=1.6, decay=0.9, fall=0.35),
    "electric piano": modulated(ratio=1.0, index=0.8, decay=1.2, fall=0.5),
    "bell": modulated(ratio=3.5, index=1.5, decay=0.8, fall=0.4),
    "harpsichord": plucked(brightness=1.0, decay=1.0),
    "organ": tone(_drawbars(1, 0.8, 0.6, 0.35, 0.2, 0.15), attack=0.008, vibrato=8),
    "warm organ": tone(_drawbars(1, 0.7, 0.3, 0.1, 0.0, 0.0), attack=0.01, vibrato=12),
    "strings": tone(_power(1.2), attack=0.12, release=0.2, vibrato=14, chorus=11),
    "violin": tone(_formants((500.0, 1100.0, 2600.0), 0.7), attack=0.07, release=0.1, vibrato=22),
    "flute": tone(_power(2.6), attack=0.05, release=0.08, vibrato=15, breath=0.04),
    "clarinet": tone(_power(1.3, odd_only=True), attack=0.04, vibrato=6),
    "saxophone": tone(
        _formants((520.0, 1300.0, 2100.0), 0.5), attack=0.03, vibrato=18, scoop=60, breath=0.03
    ),
    "brass": tone(_power(0.8), attack=0.03, release=0.06, vibrato=6, chorus=6),
    "harmonica": tone(_formants((900.0, 1900.0, 3000.0), 0.3), attack=0.03, vibrato=20, scoop=40),
    "singer": _singer(attack=0.05, release=0.08, vibrato=25, scoop=80, breath=0.02),
    "rapper": _singer(attack=0.012, release=0.04, scoop=250, breath=0.05),
    "synth lead": tone(_power(0.7), attack=0.008, release=0.05, chorus=14),
    "square lead": tone(_power(1.0, odd_only=True), attack=0.005, release=0.05, chorus=7),
    "synth pad": tone(_power(1.4), attack=0.25, release=0.3, chorus=16),
    "double bass": plucked(brightness=0.12, decay=1.1),
    "electric bass": plucked(brightness=0.3, decay=2.0),
    "picked bass": plucked(brightness=0.75, decay=2.0),
    "synth bass": tone(_power(1.1), attack=0.004, decay=0.5),
    "sub bass": tone(_power(3.0), attack=0.006, decay=1.2),
    "cello": tone(_formants((250.0, 600.0, 1500.0), 0.9), attack=0.09, release=0.15, vibrato=14),
}
