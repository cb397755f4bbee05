"""A song in stretches of 30 s, read and resampled on the way: long songs need no more memory.

A *stretch* is what the pipeline calls a clip: mono, `SAMPLE_RATE`, `CLIP_SAMPLES` long, looked at
in segments. The stretches follow each other without gaps; where the song is no whole number of
them long, the last one is its last 30 s, and only the segments that were not heard yet are
answered for. What is then left over is heard in a last segment that ends with the song. A song
shorter than 30 s is padded with silence, as the pipeline does with its clip, and a song shorter
than 3 s is one segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

import numpy as np

from genre.audio import (
    CLIP_SAMPLES,
    CLIP_SECONDS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    Samples,
    Stream,
    to_mono,
)
from genre.core.errors import AudioError

BLOCK_SECONDS = 5.0  # that are decoded at once
LONGEST_SECONDS = 6 * 3600.0  # of a song that is analysed, unless more is asked for
UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))  # that lengths are told in


class NotAudioError(AudioError):
    """The file is no audio by its content, whatever its name says."""


@dataclass(frozen=True)
class Stretch:
    """30 s of a song: `y` is float32, shape=(CLIP_SAMPLES,), from the song's sample `start` on.

    `offsets` are the first samples, within `y`, of the segments to answer for; `end` is how many
    samples the song has up to here. `others` are the same 30 s at other rates, by rate.
    `header_seconds` is the length of the song by its header, None if that has none.
    """

    y: Samples
    start: int
    end: int
    offsets: tuple[int, ...]
    others: Mapping[int, Samples] = field(default_factory=dict)
    header_seconds: float | None = None

    def segment(self, offset: int) -> Samples:
        """The segment at `offset` [shape=(SEGMENT_SAMPLES,)]."""
        return self.y[offset : offset + SEGMENT_SAMPLES]


def stretches(
    source: Path | bytes,
    *,
    max_seconds: float = LONGEST_SECONDS,
    others: Sequence[int] = (),
) -> Iterator[Stretch]:
    """Read a song, a file's path or its content, from end to end.

    `others` are the sample rates of `Stretch.others`. Raises `NotAudioError` if it is not audio,
    `AudioError` if it is broken, holds no samples or ones that are not numbers, or is longer than
    `max_seconds`: at once if its header says so, else when that much was read.
    """
    with _open(source) as stream:
        header_seconds = None if stream.frames is None else stream.frames / stream.sample_rate
        for stretch in _stretches(_resampled(stream, max_seconds, others), (SAMPLE_RATE, *others)):
            yield replace(stretch, header_seconds=header_seconds)


def _stretches(blocks: Iterator[tuple[Samples, ...]], every: tuple[int, ...]) -> Iterator[Stretch]:
    """The stretches of a song whose `blocks` are given at `every` rate."""
    start = 0
    before = held = {rate: np.zeros(0, dtype=np.float32) for rate in every}
    ended = False
    while not ended:
        block = next(blocks, None)
        if block is None:
            ended = True
            held = _fitted(held)
        else:
            held = {
                rate: np.concatenate([held[rate], part])
                for rate, part in zip(every, block, strict=True)
            }
        while all(len(y) >= CLIP_SECONDS * rate for rate, y in held.items()):
            before = {rate: y[: CLIP_SECONDS * rate] for rate, y in held.items()}
            held = {rate: y[CLIP_SECONDS * rate :] for rate, y in held.items()}
            yield _stretch(before, start, start + CLIP_SAMPLES, _whole(CLIP_SAMPLES))
            start += CLIP_SAMPLES
    left = len(held[SAMPLE_RATE])
    if not left:
        if not start:
            raise AudioError("holds no samples")
        return
    end, overlap = start + left, CLIP_SAMPLES - left
    if start:
        last = {
            rate: np.concatenate([before[rate], y])[-CLIP_SECONDS * rate :]
            for rate, y in held.items()
        }
        yield _stretch(last, end - CLIP_SAMPLES, end, _left(overlap, CLIP_SAMPLES))
    else:
        whole = {rate: np.pad(y, (0, CLIP_SECONDS * rate - len(y))) for rate, y in held.items()}
        yield _stretch(whole, 0, end, _left(0, end))


def _stretch(
    parts: Mapping[int, Samples], start: int, end: int, offsets: tuple[int, ...]
) -> Stretch:
    others = {rate: y for rate, y in parts.items() if rate != SAMPLE_RATE}
    return Stretch(parts[SAMPLE_RATE], start, end, offsets, others)


def _fitted(held: Mapping[int, Samples]) -> dict[int, Samples]:
    """What is left at the song's end, as long at every rate: resamplers round it their own way."""
    left = len(held[SAMPLE_RATE])
    lengths = {rate: left * rate // SAMPLE_RATE for rate in held}
    return {
        rate: np.pad(y[: lengths[rate]], (0, max(0, lengths[rate] - len(y))))
        for rate, y in held.items()
    }


def _whole(length: int) -> tuple[int, ...]:
    return tuple(range(0, length - SEGMENT_SAMPLES + 1, SEGMENT_SAMPLES))


def _left(first: int, end: int) -> tuple[int, ...]:
    """The segments from sample `first` to sample `end`; the last one ends there, if it can."""
    offsets = [first + offset for offset in _whole(end - first)]
    if (end - first) % SEGMENT_SAMPLES:
        offsets.append(max(0, end - SEGMENT_SAMPLES))
    return tuple(offsets)


def resampled(
    source: Path | bytes,
    max_seconds: float,
    others: Sequence[int] = (),
) -> Iterator[tuple[Samples, ...]]:
    """Yield the song block by block: mono, float32, at `SAMPLE_RATE` and at each rate of `others`.

    Sample for sample what `genre.audio.load` returns in one piece. Raises as `stretches` does.
    """
    with _open(source) as stream:
        yield from _resampled(stream, max_seconds, others)


def _open(source: Path | bytes) -> Stream:
    try:
        return Stream(source)
    except AudioError as error:
        raise NotAudioError(str(error)) from error


def _resampled(
    stream: Stream, max_seconds: float, others: Sequence[int]
) -> Iterator[tuple[Samples, ...]]:
    most = max_seconds * stream.sample_rate
    if stream.frames is not None and stream.frames > most:
        raise _too_long(max_seconds, stream.frames / stream.sample_rate)
    through = [_Resampler(stream.sample_rate, target) for target in (SAMPLE_RATE, *others)]
    total = 0
    for block in stream.blocks(BLOCK_SECONDS):
        total += len(block)
        if total > most:
            raise _too_long(max_seconds)
        mono = to_mono(block)
        if not np.isfinite(mono).all():
            raise AudioError("holds samples that are not numbers (NaN or infinite)")
        yield tuple(one(mono) for one in through)
    yield tuple(one(np.zeros(0, dtype=np.float32), last=True) for one in through)


def cut_off(seconds: float, header_seconds: float | None) -> str | None:
    """A warning if a song ends `seconds` from its start, long before its header says; else None.

    Headers of MP3s without a frame count are estimates; these were off by up to 0.3 %.
    """
    if header_seconds is None or header_seconds - seconds <= max(1.0, 0.02 * header_seconds):
        return None
    return (
        f"ends after {seconds:.0f} s, where its header says {header_seconds:.0f} s: it was "
        "probably cut off"
    )


class _Resampler:
    """A song's blocks at `target_sr`, as `genre.audio.resample` makes them of the whole song."""

    def __init__(self, orig_sr: int, target_sr: int) -> None:
        import soxr

        self._stream = None
        if orig_sr != target_sr:
            self._stream = soxr.ResampleStream(orig_sr, target_sr, 1, dtype="float32", quality="HQ")

    def __call__(self, y: Samples, *, last: bool = False) -> Samples:
        if self._stream is None:
            return y
        resampled: Samples = self._stream.resample_chunk(y, last=last)
        return resampled


def _too_long(max_seconds: float, seconds: float | None = None) -> AudioError:
    size, unit = _unit(max_seconds)
    most = f"longer than the {max_seconds / size:.4g} {unit} that are analysed at most; cut it"
    if seconds is None:
        return AudioError(f"is {most}")
    size, unit = _unit(seconds)
    tenths = 1 if unit == "min" else 10
    rounded = ceil(seconds / size * tenths) / tenths  # up: it must not look as long as the limit
    return AudioError(f"is {rounded:g} {unit} long, {most}")


def _unit(seconds: float) -> tuple[float, str]:
    """What to tell a length in: hours from two on, minutes likewise, else seconds."""
    return next((one for one in UNITS if seconds >= 2 * one[0]), UNITS[-1])
