"""Make copies of a song: re-encoded, resampled, cut or otherwise changed files of one recording."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from genre.audio import Samples

NOISE_DB = -30.0
EXCERPT_SECONDS = 10
OFFSET_SECONDS = 2.0

Coder = Callable[[Samples, int], bytes]


def as_wav(y: Samples, rate: int) -> bytes:
    """Encode as 16-bit WAV, clipped at full scale."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(y, -1, 1), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def as_vorbis(y: Samples, rate: int) -> bytes:
    """Encode as Ogg Vorbis at the encoder's default quality."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, y, rate, format="OGG", subtype="VORBIS")
    return buffer.getvalue()


def encoded(y: Samples, rate: int, *, codec: str, container: str, bit_rate: int) -> bytes:
    """Encode mono `y` with an encoder of FFmpeg, at `bit_rate` bits per second."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(y.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = rate
        for part in (frame, None):
            file.mux(stream.encode(part))
    return buffer.getvalue()


as_mp3: Coder = partial(encoded, codec="libmp3lame", container="mp3", bit_rate=64_000)
as_aac: Coder = partial(encoded, codec="aac", container="ipod", bit_rate=64_000)


def copies(y: Samples, rate: int, random: np.random.Generator) -> dict[str, bytes]:
    """Return the file content of each kind of copy of mono `y`."""
    import soxr

    level = float(np.sqrt(np.mean(np.square(y, dtype=np.float64))))
    noise = random.standard_normal(len(y), dtype=np.float32)
    noise *= np.float32(level * 10 ** (NOISE_DB / 20))
    late = y[random.integers(1, round(OFFSET_SECONDS * rate)) :]
    length = min(EXCERPT_SECONDS * rate, len(y))
    first = int(random.integers(0, len(y) - length + 1))
    excerpt = y[first : first + length]
    everything = (y + noise)[-len(late) :] * np.float32(0.5)
    return {
        "MP3, 64 kbit/s": as_mp3(y, rate),
        "AAC, 64 kbit/s": as_aac(y, rate),
        "Ogg Vorbis": as_vorbis(y, rate),
        "6 dB softer": as_wav(y * np.float32(10 ** (-6 / 20)), rate),
        "6 dB louder, clipped": as_wav(y * np.float32(10 ** (6 / 20)), rate),
        "up to 2 s cut off": as_wav(late, rate),
        "at 16 kHz": as_wav(soxr.resample(y, rate, 16_000, quality="HQ"), 16_000),
        "noise at -30 dB": as_wav(y + noise, rate),
        "10 s of it, MP3": as_mp3(excerpt, rate),
        "10 s of it, Ogg Vorbis": as_vorbis(excerpt, rate),
        "cut off, noise, -6 dB, 16 kHz, MP3": as_mp3(
            soxr.resample(everything, rate, 16_000, quality="HQ"), 16_000
        ),
    }
