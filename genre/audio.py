"""Decode, resample, trim, pad and segment audio.

Conventions: decoded audio is float32, shape=(n, channels), full scale -1 to 1. A *clip* is what
the pipeline works on: mono, `SAMPLE_RATE`, 16-bit, exactly `CLIP_SECONDS` long; a *segment* is one
of its `SEGMENTS_PER_CLIP` equal parts. What a file holds is told by its content, not by its name:
libsndfile reads WAV, FLAC, MP3, Ogg Vorbis, Opus, AU and AIFF; FFmpeg's libraries, through PyAV,
read what it cannot (M4A/AAC, WMA, and damaged headers).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.errors import AudioError, InputError

if TYPE_CHECKING:
    from pydub import AudioSegment

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 22_050  # Hz, the rate of every clip and librosa's default
CLIP_SECONDS = 30
SEGMENT_SECONDS = 3
SEGMENTS_PER_CLIP = CLIP_SECONDS // SEGMENT_SECONDS
CLIP_SAMPLES = CLIP_SECONDS * SAMPLE_RATE
SEGMENT_SAMPLES = SEGMENT_SECONDS * SAMPLE_RATE

FULL_SCALE = 32_768  # of a 16-bit sample
BLOCK_SECONDS = 60  # of audio held in memory at once while a song is read from end to end


@dataclass(frozen=True)
class Audio:
    """Decoded audio and what its file says about it.

    `samples` is float32, shape=(n, channels). `tags` holds `title` and `artist` where the file
    carries them.
    """

    samples: Samples
    sample_rate: int
    codec: str
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


class Stream:
    """A song that is being decoded: what its header says, and its samples block by block.

    `sample_rate` in Hz, `channels`, `codec` as the decoder names it, `tags`. `blocks()` can be
    read once and yields float32, shape=(m, channels). Use as a context manager.
    """

    def __init__(self, source: Path | bytes) -> None:
        """Open `source`, a file's path or its content.

        Raises `AudioError` where the file is missing, empty or not audio.
        """
        self.name = str(source) if isinstance(source, Path) else "the audio"
        if isinstance(source, Path):
            try:
                empty = source.stat().st_size == 0
            except OSError as error:
                raise AudioError(f"cannot be opened ({error.strerror})") from error
        else:
            empty = not source
        if empty:
            raise AudioError("is empty (0 bytes)")
        self._decoder: _SoundFile | _Av
        try:
            self._decoder = _SoundFile(source)
        except _NotForThisDecoder:
            self._decoder = _Av(source)
        self.sample_rate = self._decoder.sample_rate
        self.channels = self._decoder.channels
        self.codec = self._decoder.codec
        self.tags = self._decoder.tags

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples in order; raises `AudioError` where the rest cannot be decoded."""
        yield from self._decoder.blocks()


class _NotForThisDecoder(Exception):
    """The decoder does not know this content; another may."""


class _SoundFile:
    """libsndfile."""

    def __init__(self, source: Path | bytes) -> None:
        import soundfile

        # Not the path itself: libsndfile would look at the suffix before the content.
        opened: Any = io.BytesIO(source) if isinstance(source, bytes) else _open(source)
        try:
            self._file = soundfile.SoundFile(opened)
        except (soundfile.SoundFileError, TypeError, ValueError) as error:
            raise _NotForThisDecoder from error  # libsndfile has closed the descriptor
        self.sample_rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.codec = f"{self._file.format}/{self._file.subtype}"
        self.tags = {
            key: value.strip()
            for key, value in self._file.copy_metadata().items()
            if key in ("title", "artist") and value.strip()
        }

    def close(self) -> None:
        self._file.close()

    def blocks(self) -> Iterator[Samples]:
        import soundfile

        size = BLOCK_SECONDS * self.sample_rate
        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise AudioError(f"cannot be decoded to its end ({error})") from error
            if not len(block):
                return
            yield block


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


class _Av:
    """FFmpeg's libraries."""

    def __init__(self, source: Path | bytes) -> None:
        import av

        av.logging.set_level(None)
        handle: Any = str(source) if isinstance(source, Path) else io.BytesIO(source)
        try:
            self._container = av.open(handle, metadata_errors="replace")
        except (av.FFmpegError, ValueError, OSError) as error:
            raise AudioError("is not audio in any known format") from error
        try:
            if not self._container.streams.audio:
                raise AudioError("is not audio: it has no audio stream")
            stream = self._container.streams.audio[0]
            if not stream.sample_rate or not stream.channels:
                raise AudioError("is not audio in any known format")
        except AudioError:
            self._container.close()
            raise
        self._stream = stream
        self.sample_rate = int(stream.sample_rate)
        self.channels = int(stream.channels)
        self.codec = f"{self._container.format.name.split(',')[0].upper()}/{stream.name.upper()}"
        tags = {**self._container.metadata, **stream.metadata}
        self.tags = {
            key.lower(): value.strip()
            for key, value in tags.items()
            if key.lower() in ("title", "artist") and value.strip()
        }

    def close(self) -> None:
        self._container.close()

    def blocks(self) -> Iterator[Samples]:
        import av

        layout = self._stream.layout.name
        convert = av.AudioResampler(format="flt", layout=layout, rate=self.sample_rate)
        pending: list[Samples] = []
        held = 0
        try:
            for frame in self._container.decode(self._stream):
                if frame.sample_rate != self.sample_rate or frame.layout.name != layout:
                    raise AudioError("changes its sample rate or channels half-way")
                for part in convert.resample(frame):
                    samples = part.to_ndarray().reshape(-1, self.channels)
                    pending.append(samples.astype(np.float32, copy=False))
                    held += len(pending[-1])
                if held >= BLOCK_SECONDS * self.sample_rate:
                    yield np.concatenate(pending)
                    pending, held = [], 0
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"cannot be decoded to its end ({error})") from error
        if pending:
            yield np.concatenate(pending)


def decode(source: Path | bytes) -> Audio:
    """Decode a whole song, given as a path or as the content of its file.

    Raises `AudioError` where it is missing, empty, not audio, broken or holds no samples.
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
    """What reading a song from end to end, in bounded memory, tells about it.

    `seconds`; `loudest_dbfs`, the level of the loudest `SEGMENT_SECONDS` in dB below full scale
    (root mean square over all channels; -inf for digital silence); `audio_sha256` of the decoded
    samples with their rate and channels, the same whatever container they came in.
    """

    sample_rate: int
    channels: int
    codec: str
    tags: dict[str, str]
    seconds: float
    loudest_dbfs: float
    audio_sha256: str


def scan(source: Path | bytes, *, max_seconds: float) -> Scan:
    """Read a song to its end and describe it.

    Raises `AudioError` where it is not audio, is broken, holds samples that are not numbers, or is
    longer than `max_seconds` (reading stops there).
    """
    digest = hashlib.sha256()
    total = 0
    loudest = 0.0
    with Stream(source) as stream:
        digest.update(f"{stream.sample_rate} {stream.channels}".encode())
        window = SEGMENT_SECONDS * stream.sample_rate
        for block in stream.blocks():
            total += len(block)
            if total > max_seconds * stream.sample_rate:
                raise AudioError(
                    f"is longer than ingest.max_seconds ({max_seconds:g} s): cut it, or raise that"
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


class Excerpt:
    """The 30 s of a song that the pipeline works on, cut as the report cut them: with pydub."""

    def __init__(
        self, source: Path | bytes, *, position: str, seconds: float | None = None
    ) -> None:
        """Choose the `middle` or the `start` of `source`, whose length is `seconds` if known."""
        self._source = source
        self._position = position
        self._seconds = seconds

    @cached_property
    def clip(self) -> AudioSegment:
        """Mono, `SAMPLE_RATE`, 16-bit, exactly `CLIP_SECONDS`; silence is appended if shorter."""
        from pydub import AudioSegment

        y = resample(*self._part())
        pcm = np.clip(np.rint(y * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
        clip = AudioSegment(pcm.tobytes(), sample_width=2, frame_rate=SAMPLE_RATE, channels=1)
        clip = clip[: CLIP_SECONDS * 1000]
        missing = CLIP_SAMPLES - int(clip.frame_count())
        if missing > 0:
            silence = AudioSegment.silent(CLIP_SECONDS * 1000, frame_rate=SAMPLE_RATE)
            clip = clip + silence.get_sample_slice(0, missing)
        return clip

    @property
    def segments(self) -> list[AudioSegment]:
        """The ten `SEGMENT_SECONDS` parts of the clip."""
        step = SEGMENT_SECONDS * 1000
        return [self.clip[start : start + step] for start in range(0, CLIP_SECONDS * 1000, step)]

    def _part(self) -> tuple[Samples, int]:
        """Return the mono samples of the chosen part, at the song's own rate, and that rate."""
        with Stream(self._source) as stream:
            wanted = CLIP_SECONDS * stream.sample_rate
            first = 0
            if self._position == "middle":
                first = max(0, (self._length(stream.sample_rate) - wanted) // 2)
            parts: list[Samples] = []
            position = 0
            for block in stream.blocks():
                part = block[max(0, first - position) : max(0, first + wanted - position)]
                if len(part):
                    parts.append(to_mono(part))
                position += len(block)
                if position >= first + wanted:
                    break
            if not parts:
                raise AudioError("holds no samples")
            return np.concatenate(parts), stream.sample_rate

    def _length(self, sample_rate: int) -> int:
        """Length in samples: as the catalogue has it, else counted by decoding."""
        if self._seconds is not None:
            return round(self._seconds * sample_rate)
        with Stream(self._source) as stream:
            return sum(len(block) for block in stream.blocks())


def read_clip(path: Path) -> Samples:
    """Read a clip of the pipeline: float32, shape=(CLIP_SAMPLES,).

    Raises `InputError` where the file is not such a clip.
    """
    import soundfile

    try:
        with path.open("rb") as handle:
            y, rate = soundfile.read(handle, dtype="float32")
    except (OSError, soundfile.SoundFileError) as error:
        raise InputError(f"{path}: cannot be read as a clip ({error}); run trim again") from error
    if rate != SAMPLE_RATE or y.shape != (CLIP_SAMPLES,):
        raise InputError(
            f"{path}: found {y.shape} samples at {rate} Hz, expected ({CLIP_SAMPLES},) at "
            f"{SAMPLE_RATE} Hz; run trim again"
        )
    clip: Samples = y
    return clip


def segment(y: Samples) -> npt.NDArray[np.float32]:
    """Cut a clip into its segments: shape=(SEGMENTS_PER_CLIP, SEGMENT_SAMPLES), no copy."""
    return y[:CLIP_SAMPLES].reshape(SEGMENTS_PER_CLIP, SEGMENT_SAMPLES)
