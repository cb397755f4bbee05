"""MusiCNN's input: log-mel patches of a song at 16 kHz.

A spectrogram is float32 [shape=(frames, 96)]: librosa's power mel spectrogram as librosa 0.7 made
it (Hann window, frames centred, the song mirrored at its ends), rounded to float16 and compressed
as log10(10000 x + 1), as the published code does. A patch is `patch_frames` of its frames; the
next starts `hop_frames` later. Frames at the song's end that fill no patch are dropped, as
published.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import Samples
from genre.core.errors import AudioError

SAMPLE_RATE = 16_000  # Hz, of what the networks were trained on
N_FFT = 512
HOP_LENGTH = 256
N_MELS = 96
PATCH_FRAMES = 187  # 3 s, as published
HOP_FRAMES = 61  # 1 s less the half of a window: librosa.time_to_frames(1), as published
COMPRESSION = 10_000
LOUDEST = 1e4  # of a sample, full scale being 1: the squares of more would not be numbers
FRAMES_TOGETHER = 4096  # in one Fourier transform, which bounds memory

Floats = npt.NDArray[np.float32]


def log_mel(y: Samples, *, at_least: int = 1) -> Floats:
    """The spectrogram of `y`, mono at 16 kHz [shape=(n,)]: float32 [shape=(1 + n // 256, 96)].

    Silence is appended if it would have fewer than `at_least` frames. Raises `AudioError` if
    `y` holds values that are not numbers.
    """
    from scipy.fft import rfft

    if y.ndim != 1 or not np.isfinite(y).all():
        raise AudioError(
            f"found audio of shape {y.shape}"
            + (" with samples that are not numbers (NaN or infinite)" if y.ndim == 1 else "")
            + ", expected mono, shape=(n,), of finite samples"
        )
    short = max((at_least - 1) * HOP_LENGTH, N_FFT // 2 + 1) - len(y)
    y = np.pad(np.clip(y.astype(np.float32, copy=False), -LOUDEST, LOUDEST), (0, max(0, short)))
    padded = np.pad(y, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    window, filters = _window(), _filters()
    spectrogram = np.empty((len(frames), N_MELS), np.float32)
    for first in range(0, len(frames), FRAMES_TOGETHER):
        spectra = rfft(frames[first : first + FRAMES_TOGETHER] * window, axis=1)
        power = spectra.real**2 + spectra.imag**2
        spectrogram[first : first + FRAMES_TOGETHER] = power @ filters
    largest = np.finfo(np.float16).max
    rounded = np.minimum(spectrogram, largest).astype(np.float16).astype(np.float32)
    compressed: Floats = np.log10(COMPRESSION * rounded + 1)
    return compressed


def patch_starts(frames: int, patch_frames: int, hop_frames: int) -> npt.NDArray[np.int64]:
    """The first frames of the patches of a spectrogram of `frames` frames."""
    return np.arange(0, frames - patch_frames + 1, hop_frames)


@lru_cache(maxsize=1)
def _window() -> Floats:
    from scipy.signal import get_window

    window: Floats = get_window("hann", N_FFT).astype(np.float32)
    return window


@lru_cache(maxsize=1)
def _filters() -> Floats:
    """Mel filters as librosa has them, turned [shape=(257, 96)]."""
    import librosa

    filters: Any = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS)
    return np.ascontiguousarray(filters.T, dtype=np.float32)
