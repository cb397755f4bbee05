"""Windows, filter banks and tables, made once per setting.

Each gives the values of the librosa or SciPy function that it names (the tests hold them to it).
They are computed here because importing librosa and what it needs takes longer than the features
of forty clips. Arrays are shared between calls: read, never written.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]

N_MELS = 128  # librosa's default number of mel bands
N_CHROMA = 12  # semitones of an octave
A4 = 440.0  # Hz


@lru_cache(maxsize=8)
def hann(length: int) -> Floats:
    """Periodic Hann window, shape=(length,), as `scipy.signal.get_window("hann", length)`."""
    if length == 1:
        return np.ones(1)
    return (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + 1)))[:-1]


@lru_cache(maxsize=8)
def frequencies(sr: float, n_fft: int) -> Floats:
    """Centre of each bin in Hz, shape=(1 + n_fft // 2,), as `librosa.fft_frequencies`."""
    return np.fft.rfftfreq(n_fft, 1.0 / sr).astype(np.float64, copy=False)


def _mel_to_hz(mels: Floats) -> Floats:
    """Slaney's scale: linear below 1 kHz, logarithmic above, as `librosa.mel_to_hz`."""
    hz_per_mel = 200.0 / 3
    corner_hz = 1000.0
    corner_mel = corner_hz / hz_per_mel
    log_step = np.log(6.4) / 27.0
    return np.where(
        mels < corner_mel,
        hz_per_mel * mels,
        corner_hz * np.exp(log_step * (np.maximum(mels, corner_mel) - corner_mel)),
    )


def _hz_to_mel(hz: float) -> float:
    hz_per_mel = 200.0 / 3
    if hz < 1000.0:
        return hz / hz_per_mel
    return 1000.0 / hz_per_mel + float(np.log(hz / 1000.0)) / (float(np.log(6.4)) / 27.0)


@lru_cache(maxsize=8)
def mel(sr: float, n_fft: int) -> Weights:
    """Mel filter bank, shape=(N_MELS, 1 + n_fft // 2), as `librosa.filters.mel`.

    Triangles of Slaney's Auditory Toolbox, each of the same area, from 0 Hz to sr / 2.
    """
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(float(sr) / 2), N_MELS + 2))
    ramps = np.subtract.outer(edges, frequencies(sr, n_fft))
    steps = np.diff(edges)
    rising = -ramps[:-2] / steps[:-1, np.newaxis]
    falling = ramps[2:] / steps[1:, np.newaxis]
    weights = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    weights *= (2.0 / (edges[2:] - edges[:-2]))[:, np.newaxis]
    return weights


@lru_cache(maxsize=256)
def chroma(sr: float, n_fft: int, tuning: float) -> Weights:
    """Chroma filter bank, shape=(N_CHROMA, 1 + n_fft // 2), as `librosa.filters.chroma`.

    `tuning`: deviation from A440 in semitones. Each bin is a Gaussian bump around its pitch
    class (Ellis, "Chroma feature analysis and synthesis", 2007), weighted by its distance from
    the fifth octave.
    """
    n_bins = 1 + n_fft // 2
    a0 = A4 * 2.0 ** (tuning / N_CHROMA) / 16
    hz = np.linspace(0, sr, n_fft, endpoint=False)[1 : n_bins + 1]
    semitones = N_CHROMA * np.log2(hz / a0)
    # The bin at 0 Hz is put an octave and a half below the next.
    semitones = np.concatenate(([semitones[0] - 1.5 * N_CHROMA], semitones))
    width = np.maximum(np.diff(semitones), 1.0)[:n_bins]
    semitones = semitones[:n_bins]
    half = N_CHROMA // 2
    distance = np.subtract.outer(np.arange(N_CHROMA, dtype=np.float64), semitones)
    distance = np.remainder(-distance + half + 10 * N_CHROMA, N_CHROMA) - half
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=0))
    centre_octave, octaves = 5.0, 2.0
    weights *= np.exp(-0.5 * ((semitones / N_CHROMA - centre_octave) / octaves) ** 2)
    from_c = np.roll(weights, -3, axis=0)  # the bank starts at A
    return np.ascontiguousarray(from_c, dtype=np.float32)
