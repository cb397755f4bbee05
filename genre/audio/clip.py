"""Clips and segments: the 30 s of a song that the pipeline works on, and their ten parts."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.audio.decoding import Samples, Stream
from genre.audio.song import SAMPLE_RATE, resample, to_mono
from genre.errors import AudioError

if TYPE_CHECKING:
    from pydub import AudioSegment

CLIP_SECONDS = 30
SEGMENT_SECONDS = 3
SEGMENTS_PER_CLIP = CLIP_SECONDS // SEGMENT_SECONDS
CLIP_SAMPLES = CLIP_SECONDS * SAMPLE_RATE
SEGMENT_SAMPLES = SEGMENT_SECONDS * SAMPLE_RATE

FULL_SCALE = 32_768  # of a 16-bit sample


def cut(source: Path | bytes, position: str) -> AudioSegment:
    """Cut the clip out of a song as the report did it: with pydub.

    The clip is the `middle` or the `start` of the song: mono, `SAMPLE_RATE`, 16-bit, exactly
    `CLIP_SECONDS`; silence is appended where the song is shorter. Raises `AudioError`.
    """
    AudioSegment = _audio_segment()
    y = resample(*part_of_song(source, position))
    pcm = np.clip(np.rint(y * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    clip = AudioSegment(pcm.tobytes(), sample_width=2, frame_rate=SAMPLE_RATE, channels=1)
    clip = clip[: CLIP_SECONDS * 1000]
    missing = CLIP_SAMPLES - int(clip.frame_count())
    if missing > 0:
        silence = AudioSegment.silent(CLIP_SECONDS * 1000, frame_rate=SAMPLE_RATE)
        clip = clip + silence.get_sample_slice(0, missing)
    return clip


def decode_clip(content: bytes) -> AudioSegment:
    """The clip in a FLAC file of the pipeline's own, given by its content."""
    import soundfile

    pcm, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    return _audio_segment()(pcm.tobytes(), sample_width=2, frame_rate=rate, channels=1)


def cut_segments(clip: AudioSegment) -> list[AudioSegment]:
    """Cut a clip into its ten parts of `SEGMENT_SECONDS`."""
    step = SEGMENT_SECONDS * 1000
    return [clip[start : start + step] for start in range(0, CLIP_SECONDS * 1000, step)]


def clip_of_song(source: Path | bytes, content: str, *, position: str) -> bytes:
    """The clip of a song whose sha256 is `content`, as a FLAC file.

    Raises `AudioError` where the song is another by now, or cannot be read.
    """
    verify(source, content)
    return encode_clip(cut(source, position))


def verify(source: Path | bytes, content: str) -> None:
    """Raise `AudioError` unless the sha256 of `source` is `content`."""
    try:
        if isinstance(source, bytes):
            digest = hashlib.sha256(source)
        else:
            with source.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256")
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror})") from error
    if digest.hexdigest() != content:
        raise AudioError("has changed since it was catalogued; run the pipeline again")


def encode_clip(clip: AudioSegment) -> bytes:
    """A clip as the content of a FLAC file: lossless, two thirds of WAV's size."""
    import soundfile

    buffer = io.BytesIO()
    pcm = np.frombuffer(clip.raw_data, dtype="<i2")
    soundfile.write(buffer, pcm, clip.frame_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _audio_segment() -> type[AudioSegment]:
    """Import pydub's class without its warning about programs that are not needed here."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    segment: type[AudioSegment] = AudioSegment
    return segment


def part_of_song(source: Path | bytes, position: str) -> tuple[Samples, int]:
    """The samples of the part of a song that `cut` keeps, mono, at the song's own rate; that rate.

    float32 [shape=(n,)], at most `CLIP_SECONDS`. Raises `AudioError`.
    """
    if position == "start":
        return _read(source, first=0)
    with Stream(source) as stream:
        wanted = CLIP_SECONDS * stream.sample_rate
        frames = stream.frames
        if frames is None:
            frames = sum(len(block) for block in stream.blocks())
    y, sample_rate = _read(source, first=max(0, (frames - wanted) // 2))
    if len(y) < min(wanted, frames):  # the header told of more than there is
        with Stream(source) as stream:
            frames = sum(len(block) for block in stream.blocks())
        y, sample_rate = _read(source, first=max(0, (frames - wanted) // 2))
    return y, sample_rate


def _read(source: Path | bytes, *, first: int) -> tuple[Samples, int]:
    """Return up to `CLIP_SECONDS` from sample `first` on, mono, and the sample rate."""
    with Stream(source) as stream:
        wanted = CLIP_SECONDS * stream.sample_rate
        parts = [np.zeros(0, dtype=np.float32)]
        position = 0
        for block in stream.blocks():
            part = block[max(0, first - position) : max(0, first + wanted - position)]
            parts.append(to_mono(part))
            position += len(block)
            if position >= first + wanted:
                break
        if position == 0:
            raise AudioError("holds no samples")
        return np.concatenate(parts), stream.sample_rate


def read_clip(source: Path | bytes, content: str | None = None) -> Samples:
    """Read a clip of the pipeline: float32, shape=(CLIP_SAMPLES,).

    Raises `AudioError` where it is not such a clip, or its sha256 is not `content`.
    """
    import soundfile

    if content is not None:
        verify(source, content)
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
        y, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"cannot be read as a clip ({error}); run trim again") from error
    if rate != SAMPLE_RATE or y.shape != (CLIP_SAMPLES,):
        raise AudioError(
            f"holds {y.shape} samples at {rate} Hz, expected ({CLIP_SAMPLES},) at "
            f"{SAMPLE_RATE} Hz; run trim again"
        )
    clip: Samples = y
    return clip


def segment(y: Samples) -> npt.NDArray[np.float32]:
    """Cut a clip into its segments: shape=(SEGMENTS_PER_CLIP, SEGMENT_SAMPLES), no copy."""
    return y[:CLIP_SAMPLES].reshape(SEGMENTS_PER_CLIP, SEGMENT_SAMPLES)
