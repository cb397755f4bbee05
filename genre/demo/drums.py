"""The demo band's drums.

A hit is float32, shape=(n,), mono at `SAMPLE_RATE`, with a peak near 1. A `Kit` says how the
drums of one set sound; `hit` renders one drum of it, and the same arguments give the same samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from genre.audio import SAMPLE_RATE
from genre.demo.instruments import Samples, faded, filtered


@dataclass(frozen=True)
class Kit:
    """How the drums of one set sound: frequencies in Hz, times in s."""

    kick: float  # Hz that the kick drum settles on
    boom: float  # time constant of the kick drum
    click: float  # share of the beater's click
    snare: float  # Hz of the snare drum's skin
    rattle: float  # time constant of its wires
    bright: float  # Hz below which cymbals are cut
    ring: float  # length factor of the cymbals


KITS = {
    "jazz": Kit(62, 0.12, 0.1, 210, 0.09, 3800, 1.3),
    "brushes": Kit(60, 0.10, 0.03, 190, 0.16, 3000, 0.9),
    "studio": Kit(55, 0.13, 0.3, 200, 0.10, 5200, 0.8),
    "arena": Kit(58, 0.20, 0.5, 180, 0.18, 4200, 1.4),
    "machine": Kit(50, 0.16, 0.4, 230, 0.08, 6500, 0.6),
    "boom": Kit(42, 0.32, 0.2, 170, 0.12, 5500, 0.6),
    "metal": Kit(65, 0.07, 0.9, 220, 0.11, 4500, 1.2),
    "dub": Kit(48, 0.18, 0.15, 260, 0.07, 4000, 0.7),
}


@lru_cache(maxsize=256)
def hit(kit: str, drum: str, variant: int) -> Samples:
    """One hit on `drum` of the set named `kit` in `KITS`; not to be changed in place."""
    sound = KITS[kit]
    rng = np.random.default_rng((sum(map(ord, kit + drum)), variant))
    cymbal = sound.ring
    match drum:
        case "kick":
            samples = _kick(sound, rng)
        case "snare":
            samples = _snare(sound, rng)
        case "rim":
            samples = _sum(_swept(2.1 * sound.snare, 0.02, 0.05), 0.3 * _noise(rng, 0.01, 2000.0))
        case "clap":
            samples = _clap(rng)
        case "tom":
            samples = _sum(_swept(sound.kick * 1.9, 0.18, 0.5), 0.1 * _noise(rng, 0.05, 800.0))
        case "hat":
            samples = _noise(rng, 0.03 * cymbal, sound.bright)
        case "open":
            samples = _noise(rng, 0.14 * cymbal, sound.bright)
        case "ride":
            ring = _noise(rng, 0.25 * cymbal, sound.bright)
            samples = _sum(0.5 * ring, 0.5 * _metal(0.3 * cymbal))
        case "crash":
            samples = _noise(rng, 0.5 * cymbal, sound.bright * 0.6)
        case "shaker":
            samples = faded(_noise(rng, 0.035, 5000.0), 0.02, 0.02)
        case "tambourine":
            samples = _sum(0.6 * _noise(rng, 0.06, 6500.0), 0.5 * _metal(0.05))
        case "brush":
            samples = faded(_noise(rng, 0.12, 1500.0), 0.04, 0.05)
        case _:
            raise ValueError(f"the demo band has no drum called {drum!r}")
    samples /= np.abs(samples).max()
    return samples


def _sum(*parts: Samples) -> Samples:
    """The parts together, as long as the longest."""
    whole = np.zeros(max(map(len, parts)), dtype=np.float32)
    for part in parts:
        whole[: len(part)] += part
    return whole


def _time(seconds: float) -> Samples:
    return np.arange(int(seconds * SAMPLE_RATE), dtype=np.float32) / np.float32(SAMPLE_RATE)


def _noise(rng: np.random.Generator, constant: float, above: float) -> Samples:
    """Noise above `above` Hz that dies away with time constant `constant`."""
    t = _time(6 * constant)
    noise = rng.standard_normal(len(t), dtype=np.float32)
    burst = filtered(noise, "highpass", above)
    burst *= np.exp(-t / constant)
    return faded(burst, 0.0005, 0.01)


def _swept(frequency: float, constant: float, sweep: float) -> Samples:
    """A sine that falls to `frequency` Hz from (1 + 6 `sweep`) times as high."""
    t = _time(5 * constant)
    phase = frequency * (t + 6 * sweep * 0.025 * (1 - np.exp(-t / 0.025)))
    wave: Samples = (np.sin(2 * np.pi * phase) * np.exp(-t / constant)).astype(np.float32)
    return faded(wave, 0.0005, 0.02)


def _kick(sound: Kit, rng: np.random.Generator) -> Samples:
    return _sum(_swept(sound.kick, sound.boom, 0.7), sound.click * _noise(rng, 0.006, 1500.0))


def _snare(sound: Kit, rng: np.random.Generator) -> Samples:
    return _sum(_noise(rng, sound.rattle, 900.0), 1.2 * _swept(sound.snare, 0.05, 0.15))


def _clap(rng: np.random.Generator) -> Samples:
    """Four pairs of hands, some milliseconds apart."""
    pairs = []
    for delay, constant in ((0.0, 0.008), (0.011, 0.008), (0.021, 0.008), (0.03, 0.05)):
        wait = np.zeros(int(delay * SAMPLE_RATE), dtype=np.float32)
        pairs.append(np.concatenate([wait, _noise(rng, constant, 1100.0)]))
    return _sum(*pairs)


def _metal(constant: float) -> Samples:
    """Square waves at unrelated frequencies, the ring of a cymbal."""
    t = _time(5 * constant)
    ring = sum(np.sign(np.sin(2 * np.pi * hertz * t)) for hertz in (2610, 3340, 4270, 5510, 6730))
    samples: Samples = (np.asarray(ring) / 5 * np.exp(-t / constant)).astype(np.float32)
    return faded(samples, 0.0005, 0.01)
