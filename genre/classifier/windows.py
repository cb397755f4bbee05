"""Read a song in windows of 30 s, decoded and resampled in blocks, so that memory is bounded.

A *window* is like a clip of the pipeline: mono, at `SAMPLE_RATE`, `CLIP_SAMPLES` long, in segments
of 3 s. Windows follow each other without gaps. The last one is the last 30 s of the song: of its
segments only those are listed that no earlier window has, and if the song is not a multiple of 3 s
long, the last segment ends with the song and overlaps the one before. A song shorter than 30 s is
padded with silence, as in the pipeline; one shorter than 3 s is a single segment.
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

BLOCK_SECONDS = 5.0  # decoded at once
LONGEST_SECONDS = 6 * 3600.0  # the longest song that is classified by default
UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))  # of lengths in messages


class NotAudioError(AudioError):
    """The content of the file is not audio."""


@dataclass(frozen=True)
class Window:
    """30 s of a song: `y` is float32, shape=(CLIP_SAMPLES,), and begins at sample `start`.

    `offsets` are the first samples, within `y`, of the segments to classify. The window ends at
    sample `end` of the song. `other_rates` holds the same 30 s at other sample rates, by rate.
    `header_seconds` is the length of the song according to its header, None if that has none.
    """

    y: Samples
    start: int
    end: int
    offsets: tuple[int, ...]
    other_rates: Mapping[int, Samples] = field(default_factory=dict)
    header_seconds: float | None = None

    def segment(self, offset: int) -> Samples:
        """The segment at `offset` [shape=(SEGMENT_SAMPLES,)]."""
        return self.y[offset : offset + SEGMENT_SAMPLES]


def read_windows(
    source: Path | bytes,
    *,
    max_seconds: float = LONGEST_SECONDS,
    other_rates: Sequence[int] = (),
) -> Iterator[Window]:
    """Read a song, given as the path or the content of a file, window by window.

    `other_rates` are further sample rates to resample to. Raises `NotAudioError` if the file is
    not audio, `AudioError` if it is damaged, has no samples or samples that are not finite, or is
    longer than `max_seconds` (at once if the header says so, else when that much was read).
    """
    with _open(source) as stream:
        header_seconds = None if stream.frames is None else stream.frames / stream.sample_rate
        for window in _windows(
            _resampled(stream, max_seconds, other_rates), (SAMPLE_RATE, *other_rates)
        ):
            yield replace(window, header_seconds=header_seconds)


def _windows(blocks: Iterator[tuple[Samples, ...]], rates: tuple[int, ...]) -> Iterator[Window]:
    """The windows of a song whose `blocks` are given at each of `rates`."""
    start = 0
    previous = pending = {rate: np.zeros(0, dtype=np.float32) for rate in rates}
    finished = False
    while not finished:
        block = next(blocks, None)
        if block is None:
            finished = True
            pending = _equal_lengths(pending)
        else:
            pending = {
                rate: np.concatenate([pending[rate], part])
                for rate, part in zip(rates, block, strict=True)
            }
        while all(len(y) >= CLIP_SECONDS * rate for rate, y in pending.items()):
            previous = {rate: y[: CLIP_SECONDS * rate] for rate, y in pending.items()}
            pending = {rate: y[CLIP_SECONDS * rate :] for rate, y in pending.items()}
            yield _window(previous, start, start + CLIP_SAMPLES, _full_segments(CLIP_SAMPLES))
            start += CLIP_SAMPLES
    remaining = len(pending[SAMPLE_RATE])
    if not remaining:
        if not start:
            raise AudioError("holds no samples")
        return
    end, overlap = start + remaining, CLIP_SAMPLES - remaining
    if start:
        last = {
            rate: np.concatenate([previous[rate], y])[-CLIP_SECONDS * rate :]
            for rate, y in pending.items()
        }
        yield _window(last, end - CLIP_SAMPLES, end, _remaining_segments(overlap, CLIP_SAMPLES))
    else:
        whole = {rate: np.pad(y, (0, CLIP_SECONDS * rate - len(y))) for rate, y in pending.items()}
        yield _window(whole, 0, end, _remaining_segments(0, end))


def _window(parts: Mapping[int, Samples], start: int, end: int, offsets: tuple[int, ...]) -> Window:
    other_rates = {rate: y for rate, y in parts.items() if rate != SAMPLE_RATE}
    return Window(parts[SAMPLE_RATE], start, end, offsets, other_rates)


def _equal_lengths(pending: Mapping[int, Samples]) -> dict[int, Samples]:
    """Trim or pad the end of the song to the same length at every rate; resamplers round."""
    remaining = len(pending[SAMPLE_RATE])
    lengths = {rate: remaining * rate // SAMPLE_RATE for rate in pending}
    return {
        rate: np.pad(y[: lengths[rate]], (0, max(0, lengths[rate] - len(y))))
        for rate, y in pending.items()
    }


def _full_segments(length: int) -> tuple[int, ...]:
    return tuple(range(0, length - SEGMENT_SAMPLES + 1, SEGMENT_SAMPLES))


def _remaining_segments(first: int, end: int) -> tuple[int, ...]:
    """The offsets of the segments from `first` to `end`; the last segment ends at `end`."""
    offsets = [first + offset for offset in _full_segments(end - first)]
    if (end - first) % SEGMENT_SAMPLES:
        offsets.append(max(0, end - SEGMENT_SAMPLES))
    return tuple(offsets)


def resampled(
    source: Path | bytes,
    max_seconds: float,
    other_rates: Sequence[int] = (),
) -> Iterator[tuple[Samples, ...]]:
    """Yield a song in blocks: mono, float32, at `SAMPLE_RATE` and at each of `other_rates`.

    The samples equal those of `genre.audio.load`. Raises as `read_windows`.
    """
    with _open(source) as stream:
        yield from _resampled(stream, max_seconds, other_rates)


def _open(source: Path | bytes) -> Stream:
    try:
        return Stream(source)
    except AudioError as error:
        raise NotAudioError(str(error)) from error


def _resampled(
    stream: Stream, max_seconds: float, other_rates: Sequence[int]
) -> Iterator[tuple[Samples, ...]]:
    most = max_seconds * stream.sample_rate
    if stream.frames is not None and stream.frames > most:
        raise _too_long(max_seconds, stream.frames / stream.sample_rate)
    resamplers = [_Resampler(stream.sample_rate, target) for target in (SAMPLE_RATE, *other_rates)]
    total = 0
    for block in stream.blocks(BLOCK_SECONDS):
        total += len(block)
        if total > most:
            raise _too_long(max_seconds)
        mono = to_mono(block)
        if not np.isfinite(mono).all():
            raise AudioError("holds samples that are not numbers (NaN or infinite)")
        yield tuple(one(mono) for one in resamplers)
    yield tuple(one(np.zeros(0, dtype=np.float32), last=True) for one in resamplers)


def truncation_warning(seconds: float, header_seconds: float | None) -> str | None:
    """A warning if a song is much shorter than its header says; else None.

    Headers of MP3s without a frame count are estimates, which were off by up to 0.3 %.
    """
    if header_seconds is None or header_seconds - seconds <= max(1.0, 0.02 * header_seconds):
        return None
    return (
        f"ends after {seconds:.0f} s, but its header says {header_seconds:.0f} s: it was probably "
        "cut off"
    )


class _Resampler:
    """Resamples blocks to `target_sr`; together they equal `genre.audio.resample` of the song."""

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
    rounded = ceil(seconds / size * tenths) / tenths  # up, so that it differs from the limit
    return AudioError(f"is {rounded:g} {unit} long, {most}")


def _unit(seconds: float) -> tuple[float, str]:
    """The unit for a length in a message: hours from two on, minutes likewise, else seconds."""
    return next((one for one in UNITS if seconds >= 2 * one[0]), UNITS[-1])
