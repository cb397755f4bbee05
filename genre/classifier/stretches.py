"""A song in stretches of 30 s, read and resampled on the way: long songs need no more memory.

A *stretch* is what the pipeline calls a clip: mono, `SAMPLE_RATE`, `CLIP_SAMPLES` long, looked at
in segments. The stretches follow each other without gaps; where the song is no whole number of
them long, the last one is its last 30 s, and only the segments that were not heard yet are
answered for. What is then left over is heard in a last segment that ends with the song. A song
shorter than 30 s is padded with silence, as the pipeline does with its clip, and a song shorter
than 3 s is one segment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, Samples, Stream, to_mono
from genre.errors import AudioError

BLOCK_SECONDS = 5.0  # that are decoded at once
LONGEST_SECONDS = 6 * 3600.0  # of a song that is listened to, unless more is asked for


class NotAudioError(AudioError):
    """The file is no audio by its content, whatever its name says."""


@dataclass(frozen=True)
class Stretch:
    """30 s of a song: `y` is float32, shape=(CLIP_SAMPLES,), from the song's sample `start` on.

    `offsets` are the first samples, within `y`, of the segments to answer for; `end` is how many
    samples the song has up to here.
    """

    y: Samples
    start: int
    end: int
    offsets: tuple[int, ...]

    def segment(self, offset: int) -> Samples:
        """The segment at `offset` [shape=(SEGMENT_SAMPLES,)]."""
        return self.y[offset : offset + SEGMENT_SAMPLES]


def stretches(source: Path | bytes, *, max_seconds: float = LONGEST_SECONDS) -> Iterator[Stretch]:
    """Read a song, a file's path or its content, from end to end.

    Raises `NotAudioError` where it is not audio, `AudioError` where it is broken, holds no samples
    or ones that are not numbers, or is longer than `max_seconds`: at once where its header says
    so, else when that much was read.
    """
    start = 0
    before = held = np.zeros(0, dtype=np.float32)
    for block in resampled(source, max_seconds):
        held = np.concatenate([held, block])
        while len(held) >= CLIP_SAMPLES:
            before, held = held[:CLIP_SAMPLES], held[CLIP_SAMPLES:]
            yield Stretch(before, start, start + CLIP_SAMPLES, _whole(CLIP_SAMPLES))
            start += CLIP_SAMPLES
    if not len(held):
        if not start:
            raise AudioError("holds no samples")
        return
    end, overlap = start + len(held), CLIP_SAMPLES - len(held)
    if start:
        y = np.concatenate([before[-overlap:], held])
        yield Stretch(y, end - CLIP_SAMPLES, end, _left(overlap, CLIP_SAMPLES))
    else:
        yield Stretch(np.pad(held, (0, overlap)), 0, end, _left(0, end))


def _whole(length: int) -> tuple[int, ...]:
    return tuple(range(0, length - SEGMENT_SAMPLES + 1, SEGMENT_SAMPLES))


def _left(first: int, end: int) -> tuple[int, ...]:
    """The segments from sample `first` to sample `end`; the last one ends there, if it can."""
    offsets = [first + offset for offset in _whole(end - first)]
    if (end - first) % SEGMENT_SAMPLES:
        offsets.append(max(0, end - SEGMENT_SAMPLES))
    return tuple(offsets)


def resampled(source: Path | bytes, max_seconds: float) -> Iterator[Samples]:
    """Yield the song block by block: mono, float32, at `SAMPLE_RATE`.

    Sample for sample what `genre.audio.load` returns in one piece. Raises as `stretches` does.
    """
    import soxr

    try:
        stream = Stream(source)
    except AudioError as error:
        raise NotAudioError(str(error)) from error
    with stream:
        most = max_seconds * stream.sample_rate
        if stream.frames is not None and stream.frames > most:
            raise _too_long(max_seconds, stream.frames / stream.sample_rate)
        through = None
        if stream.sample_rate != SAMPLE_RATE:
            through = soxr.ResampleStream(
                stream.sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ"
            )
        total = 0
        for block in stream.blocks(BLOCK_SECONDS):
            total += len(block)
            if total > most:
                raise _too_long(max_seconds)
            mono = to_mono(block)
            if not np.isfinite(mono).all():
                raise AudioError("holds samples that are not numbers (NaN or infinite)")
            yield mono if through is None else through.resample_chunk(mono)
        if through is not None:
            yield through.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def _too_long(max_seconds: float, seconds: float | None = None) -> AudioError:
    found = "" if seconds is None else f"{seconds / 3600:.1f} h long, "
    return AudioError(
        f"is {found}longer than the {max_seconds / 3600:g} h that are listened to at most; cut it"
    )
