"""Decode, resample or scan whole songs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from genre.audio.decoding import Samples, Stream
from genre.core.errors import AudioError

SAMPLE_RATE = 22_050  # Hz, the rate of every clip and librosa's default
LEVEL_SECONDS = 3  # over which the level of a song is measured


@dataclass(frozen=True)
class Audio:
    """Decoded audio with the metadata of its file.

    `samples` is float32, shape=(n, channels). `tags` holds `title` and `artist` if the file does.
    """

    samples: Samples
    sample_rate: int
    codec: str
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


def decode(source: Path | bytes) -> Audio:
    """Decode a whole song, given as a path or as the content of its file.

    Raises `AudioError` if it is missing, empty, not audio, damaged or holds no samples.
    """
    with Stream(source) as stream:
        blocks = list(stream.blocks())
        if not blocks:
            raise AudioError("holds no samples")
        return Audio(np.concatenate(blocks), stream.sample_rate, stream.codec, stream.tags)


def to_mono(samples: Samples) -> Samples:
    """Average the channels: shape=(n, channels) to shape=(n,), as librosa.to_mono does."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    mono: Samples = samples.mean(axis=1, dtype=np.float32)
    return mono


def resample(y: Samples, orig_sr: int, target_sr: int = SAMPLE_RATE) -> Samples:
    """Resample mono `y` [shape=(n,)] by soxr's high-quality band-limited interpolation."""
    import soxr

    if orig_sr == target_sr:
        return y
    resampled: Samples = soxr.resample(y, orig_sr, target_sr, quality="HQ")
    return resampled


def load(source: Path | bytes, sample_rate: int = SAMPLE_RATE) -> Samples:
    """Decode, mix to mono and resample a whole song: float32, shape=(n,)."""
    audio = decode(source)
    return resample(to_mono(audio.samples), audio.sample_rate, sample_rate)


@dataclass
class Scan:
    """The result of decoding a whole song in bounded memory.

    `seconds`; `loudest_dbfs`, the level of the loudest `LEVEL_SECONDS` in dB below full scale
    (root mean square over all channels; -inf for digital silence); `audio_sha256` of the decoded
    samples with their rate and channels, independent of the container.
    """

    sample_rate: int
    channels: int
    codec: str
    tags: dict[str, str]
    seconds: float
    loudest_dbfs: float
    audio_sha256: str


def scan(source: Path | bytes, *, max_seconds: float) -> Scan:
    """Decode a whole song in bounded memory and describe it.

    Raises `AudioError` if it is not audio, is damaged, holds NaN or infinite samples, or is longer
    than `max_seconds` (decoding stops there).
    """
    digest = hashlib.sha256()
    total = 0
    loudest = 0.0
    with Stream(source) as stream:
        digest.update(f"{stream.sample_rate} {stream.channels}".encode())
        window = LEVEL_SECONDS * stream.sample_rate
        for block in stream.blocks():
            total += len(block)
            if total > max_seconds * stream.sample_rate:
                raise AudioError(
                    f"is longer than ingest.max_seconds ({max_seconds:g} s): cut it, or raise it"
                )
            digest.update(np.ascontiguousarray(block, dtype="<f4").data)
            energy = np.square(block, dtype=np.float32).mean(axis=1, dtype=np.float32)
            if not np.isfinite(energy).all():
                raise AudioError("holds samples that are not numbers (NaN or infinite)")
            parts = np.arange(0, len(energy), window)
            means = np.add.reduceat(energy, parts, dtype=np.float64) / window
            loudest = max(loudest, float(means.max()))
        if total == 0:
            raise AudioError("holds no samples")
        return Scan(
            sample_rate=stream.sample_rate,
            channels=stream.channels,
            codec=stream.codec,
            tags=stream.tags,
            seconds=total / stream.sample_rate,
            loudest_dbfs=float(10 * np.log10(loudest)) if loudest > 0 else -np.inf,
            audio_sha256=digest.hexdigest(),
        )
