"""Clips and segments: 30 s of a song, and their ten parts of 3 s."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genre.audio.decoding import Samples, Stream
from genre.audio.song import SAMPLE_RATE, to_mono
from genre.core.errors import AudioError
from genre.core.files import sha256_of

CLIP_SECONDS = 30
SEGMENT_SECONDS = 3
SEGMENTS_PER_CLIP = CLIP_SECONDS // SEGMENT_SECONDS
CLIP_SAMPLES = CLIP_SECONDS * SAMPLE_RATE
SEGMENT_SAMPLES = SEGMENT_SECONDS * SAMPLE_RATE


def verify(source: Path | bytes, content: str) -> None:
    """Raise `AudioError` unless the sha256 of `source` is `content`."""
    try:
        found = sha256_of(source)
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror})") from error
    if found != content:
        raise AudioError("has changed since it was catalogued; run the pipeline again")


def clip_start(length: float, clip: float, position: str) -> float:
    """Return where the clip of a song begins, in the unit of `length` and `clip`."""
    return max(0.0, length - clip) / 2 if position == "middle" else 0.0


def part_of_song(source: Path | bytes, position: str) -> tuple[Samples, int]:
    """Decode the 30 s of a song that become its clip; return mono samples and sample rate.

    `position` is `middle` or `start`. Samples are float32 [shape=(n,)], shorter for a shorter song.
    Raises `AudioError`.
    """
    if position == "start":
        return _read(source, first=0)
    with Stream(source) as stream:
        wanted = CLIP_SECONDS * stream.sample_rate
        frames = stream.frames
        if frames is None:
            frames = sum(len(block) for block in stream.blocks())
    y, sample_rate = _read(source, first=int(clip_start(frames, wanted, position)))
    if len(y) < min(wanted, frames):  # the header gives more frames than there are
        with Stream(source) as stream:
            frames = sum(len(block) for block in stream.blocks())
        y, sample_rate = _read(source, first=int(clip_start(frames, wanted, position)))
    return y, sample_rate


def _read(source: Path | bytes, *, first: int) -> tuple[Samples, int]:
    """Decode up to `CLIP_SECONDS` from sample `first` on, mono; return the sample rate, too."""
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
    """Read a clip: float32, shape=(CLIP_SAMPLES,).

    Raises `AudioError` if it has another length or rate, or its sha256 is not `content`.
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
