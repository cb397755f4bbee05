"""The sounds of the demo songs: notes of a few instruments, and drums.

A sound is float32, shape (n,), mono at `SAMPLE_RATE`. It depends on the arguments alone and is
cached: do not change it in place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from genre.audio import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

CYCLE = 2048  # samples of the table that holds one cycle of a tone
VIBRATO = 5.5  # Hz


class Voice(NamedTuple):
    """An instrument: one cycle, repeated, under an envelope."""

    slope: float  # partial k has amplitude 1 / k ** slope
    attack: float = 0.005  # s
    decay: float = np.inf  # s, time constant
    vibrato: float = 0.0  # cents
    formants: tuple[float, ...] = ()  # Hz, resonances


class Drum(NamedTuple):
    """A drum: a falling sine, noise, or both, which die away."""

    hertz: float  # of the sine; 0: none
    seconds: float  # time constant
    above: float = 0.0  # Hz, lower limit of the noise; 0: none


VOICES = {
    "guitar": Voice(1.2, decay=0.5),
    "electric guitar": Voice(1.3, decay=0.9),
    "muted guitar": Voice(1.4, decay=0.1),
    "saw guitar": Voice(0.9, decay=2.5),
    "banjo": Voice(0.7, decay=0.18),
    "piano": Voice(1.8, decay=0.7),
    "organ": Voice(2.0, 0.01, vibrato=10),
    "strings": Voice(1.2, 0.12, vibrato=14),
    "violin": Voice(0.7, 0.07, vibrato=22, formants=(500, 1100, 2600)),
    "flute": Voice(2.6, 0.05, vibrato=15),
    "saxophone": Voice(0.5, 0.03, vibrato=18, formants=(520, 1300, 2100)),
    "brass": Voice(0.8, 0.03, vibrato=6),
    "harmonica": Voice(0.3, 0.03, vibrato=20, formants=(900, 1900, 3000)),
    "singer": Voice(0.6, 0.05, vibrato=25, formants=(600, 1200, 2450)),
    "rapper": Voice(0.6, 0.012, 0.3, formants=(530, 1840, 2480)),
    "synth": Voice(0.7),
    "bass": Voice(1.5, decay=0.8),
    "double bass": Voice(2.0, decay=0.4),
    "synth bass": Voice(1.1, decay=0.5),
    "sub bass": Voice(3.0, decay=1.2),
}
DRUMS = {
    "kick": Drum(54, 0.15),
    "tom": Drum(110, 0.18),
    "snare": Drum(200, 0.1, 900),
    "rim": Drum(0, 0.012, 1800),
    "clap": Drum(0, 0.05, 1100),
    "shaker": Drum(0, 0.02, 5000),
    "hat": Drum(0, 0.03, 4800),
    "ride": Drum(0, 0.25, 4800),
    "crash": Drum(0, 0.5, 3800),
}


def filtered(samples: Samples, kind: str, cutoff: float) -> Samples:
    """Filter along the last axis; `kind` is `lowpass` or `highpass`, `cutoff` in Hz."""
    sections = butter(2, cutoff, kind, fs=SAMPLE_RATE, output="sos").astype(np.float32)
    return np.asarray(sosfilt(sections, samples), dtype=np.float32)


@lru_cache(maxsize=1024)
def note(instrument: str, hertz: float, seconds: float) -> Samples:
    """A note of an instrument of `VOICES`."""
    voice = VOICES[instrument]
    t = np.arange(int((seconds + 0.05) * SAMPLE_RATE)) / SAMPLE_RATE
    depth = (2 ** (voice.vibrato / 1200) - 1) / (2 * np.pi * VIBRATO)
    cycles = hertz * (t + depth * np.sin(2 * np.pi * VIBRATO * t))
    samples = _cycle(voice, hertz)[(cycles * CYCLE).astype(np.int64) % CYCLE]
    return _shaped(samples, t, voice.attack, voice.decay)


def _cycle(voice: Voice, hertz: float) -> Samples:
    k = np.arange(1, int(0.45 * SAMPLE_RATE / hertz) + 1)  # partials below half the sample rate
    amplitudes = k**-voice.slope
    if voice.formants:
        peaks = [np.exp(-(((k * hertz - f) / (90 + 0.08 * f)) ** 2)) for f in voice.formants]
        amplitudes *= 0.08 + np.sum(peaks, axis=0)
    spectrum = np.zeros(CYCLE // 2 + 1, dtype=np.complex128)
    # Schroeder's phases: the partials do not all peak at the same instant.
    spectrum[1 : len(k) + 1] = amplitudes * np.exp(-1j * np.pi * k * k / len(k))
    cycle = np.fft.irfft(spectrum)
    return np.asarray(cycle / np.abs(cycle).max(), dtype=np.float32)


@lru_cache(maxsize=256)
def hit(name: str, pitch: float, ring: float, variant: int) -> Samples:
    """A hit on a drum of `DRUMS`; `pitch` and `ring` are factors of its frequencies and length.

    Each `variant` has other noise.
    """
    drum = DRUMS[name]
    t = np.arange(int(5 * ring * drum.seconds * SAMPLE_RATE)) / SAMPLE_RATE
    samples = np.zeros(len(t), dtype=np.float32)
    if drum.above:
        noise = np.random.default_rng([variant, *name.encode()]).standard_normal(len(t), np.float32)
        samples += filtered(noise, "highpass", pitch * drum.above)
    if drum.hertz:
        swept = t + 0.1 * (1 - np.exp(-t / 0.025))
        samples += np.sin(2 * np.pi * pitch * drum.hertz * swept).astype(np.float32)
    samples = _shaped(samples, t, 0.001, ring * drum.seconds)
    return np.asarray(samples / np.abs(samples).max(), dtype=np.float32)


def _shaped(samples: Samples, t: npt.NDArray[np.float64], attack: float, decay: float) -> Samples:
    """`samples` at times `t`, which rise in `attack` s, die away, and end without a click."""
    envelope = np.minimum(t / attack, 1) * np.exp(-t / decay) * np.minimum(t[::-1] / 0.03, 1)
    return samples * envelope.astype(np.float32)
