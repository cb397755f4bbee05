"""Cut clips as in the report, with pydub: 30 s of each song and ten segments of 3 s.

The song is decoded and resampled by `genre.audio`; pydub cuts the 16-bit samples and appends
silence. Clips are stored as FLAC: lossless, two thirds of the size of WAV.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre.audio import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    SAMPLE_RATE,
    SEGMENT_SECONDS,
    part_of_song,
    resample,
    verify,
)

if TYPE_CHECKING:
    from pydub import AudioSegment

FULL_SCALE = 32_768  # of a 16-bit sample


def clip_of_song(source: Path | bytes, content: str, *, position: str) -> bytes:
    """Return the clip of a song whose sha256 is `content`, as the bytes of a FLAC file.

    Raises `AudioError` if the song has changed or cannot be read.
    """
    verify(source, content)
    return encode_clip(cut(source, position))


def cut(source: Path | bytes, position: str) -> AudioSegment:
    """Cut the clip from the `middle` or the `start` of a song.

    It is mono, `SAMPLE_RATE`, 16-bit, exactly `CLIP_SECONDS`; silence is appended to a shorter
    song. Raises `AudioError`.
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


def encode_clip(clip: AudioSegment) -> bytes:
    """Encode a clip as FLAC."""
    import soundfile

    buffer = io.BytesIO()
    pcm = np.frombuffer(clip.raw_data, dtype="<i2")
    soundfile.write(buffer, pcm, clip.frame_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def cut_segments(content: bytes) -> list[AudioSegment]:
    """Cut a clip, given as the bytes of a FLAC file, into its ten segments."""
    import soundfile

    pcm, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    clip = _audio_segment()(pcm.tobytes(), sample_width=2, frame_rate=rate, channels=1)
    step = SEGMENT_SECONDS * 1000
    return [clip[start : start + step] for start in range(0, CLIP_SECONDS * 1000, step)]


def _audio_segment() -> type[AudioSegment]:
    """Import pydub's class without its warning about missing FFmpeg programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    segment: type[AudioSegment] = AudioSegment
    return segment
