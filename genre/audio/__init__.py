"""Decode, resample, slice and segment audio.

Conventions: decoded audio is float32, shape=(n, channels), full scale -1 to 1. A *clip* is what
the pipeline works on: mono, `SAMPLE_RATE`, 16-bit, exactly `CLIP_SECONDS` long; a *segment* is one
of its `SEGMENTS_PER_CLIP` equal parts. The format of a file is detected from its content, not its
name.
"""

from genre.audio.clip import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    SEGMENT_SAMPLES,
    SEGMENT_SECONDS,
    SEGMENTS_PER_CLIP,
    clip_start,
    part_of_song,
    read_clip,
    segment,
    verify,
)
from genre.audio.decoding import BLOCK_SECONDS, Samples, Stream
from genre.audio.song import SAMPLE_RATE, Audio, Scan, decode, load, resample, scan, to_mono

__all__ = [
    "BLOCK_SECONDS",
    "CLIP_SAMPLES",
    "CLIP_SECONDS",
    "SAMPLE_RATE",
    "SEGMENTS_PER_CLIP",
    "SEGMENT_SAMPLES",
    "SEGMENT_SECONDS",
    "Audio",
    "Samples",
    "Scan",
    "Stream",
    "clip_start",
    "decode",
    "load",
    "part_of_song",
    "read_clip",
    "resample",
    "scan",
    "segment",
    "to_mono",
    "verify",
]
