"""Log-mel spectrograms, the input of the residual network, as small grey pictures.

An array is uint8, shape=(128, frames), lowest mel band first: decibels of power in steps of half a
decibel from `FLOOR_DB`, relative to a power of 1, so that the level of a song is kept and silence
is 0. Power is librosa's `melspectrogram` (Slaney's filters, Hann window, `center=True`). In a file
low bands are at the bottom.

At 2048 samples per frame the range is sufficient: the rounding of 16-bit samples is at -83 dB, the
loudest square wave between -1 and 1 at 43 dB.

Cut segments out of the picture of the whole 30 s. Frames at the ends of a separate 3 s signal would
include padding: their first and last two columns differ (by 4 dB at the very end, in real songs),
and all columns are shifted by a part of a hop.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, Samples, read_clip
from genre.core.errors import InputError
from genre.features.report import filters

if TYPE_CHECKING:
    from genre.core.params import LogMelParams

Levels = npt.NDArray[np.uint8]

FLOOR_DB = -80.0  # decibels of the shade 0, and of anything softer
STEP_DB = 0.5  # decibels between two shades; the maximum is 47.5 dB
LOUDEST = 255
PNG_COMPRESSION = 6  # of zlib's 9; more saves a hundredth


def log_mel(y: Samples, settings: LogMelParams) -> Levels:
    """The log-mel spectrogram of `y` [shape=(n,)]: uint8, shape=(128, 1 + n // hop_length)."""
    from scipy.fft import rfft

    n_fft, hop = settings.n_fft, settings.hop_length
    padded = np.pad(y.astype(np.float32, copy=False), n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    window = filters.hann(n_fft).astype(np.float32)
    spectrum = rfft(frames * window, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = filters.mel(SAMPLE_RATE, n_fft) @ power.T
    decibels = 10 * np.log10(np.maximum(bands, 10 ** (FLOOR_DB / 10)))
    shades: Levels = np.clip(np.rint((decibels - FLOOR_DB) / STEP_DB), 0, LOUDEST).astype(np.uint8)
    return shades


def picture_of_clip(source: Path | bytes, content: str, *, settings: LogMelParams) -> bytes:
    """The log-mel spectrogram of a clip whose sha256 is `content`, as a PNG file.

    Raises `AudioError` if the file has changed or cannot be read.
    """
    return encode_png(log_mel(read_clip(source, content), settings))


def encode_png(levels: Levels) -> bytes:
    """The array as a grey PNG, low bands at the bottom; the same array gives the same bytes."""
    from PIL import Image

    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(levels[::-1]), mode="L")
    picture.save(buffer, "PNG", compress_level=PNG_COMPRESSION)
    return buffer.getvalue()


def read(path: Path) -> Levels:
    """The array that `encode_png` wrote to `path`, uint8, shape=(128, frames).

    Raises `InputError` if the file cannot be read, or is another kind of picture.
    """
    from PIL import Image

    again = "draw it again (dvc repro --force --single-item log_mel)"
    try:
        with Image.open(path) as picture:
            levels = np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:  # as Pillow finds the damage
        raise InputError(f"{path}: not a picture ({error}); {again}") from error
    if levels.dtype != np.uint8 or levels.ndim != 2 or len(levels) != filters.N_MELS:
        raise InputError(
            f"{path}: found {levels.dtype} values of shape {levels.shape}, expected a grey picture "
            f"of {filters.N_MELS} rows; {again}"
        )
    return np.ascontiguousarray(levels[::-1])
