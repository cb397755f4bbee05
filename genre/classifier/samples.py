"""Random 3 s samples of a song, each with the 30 s around it.

Spectrograms are drawn of the 30 s, as in training; the sample is one segment of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genre.audio import CLIP_SAMPLES, CLIP_SECONDS, SAMPLE_RATE, SEGMENT_SAMPLES, Stream
from genre.classifier.windows import LONGEST_SECONDS, Window, resampled
from genre.core.errors import AudioError

BEFORE = 4 * SEGMENT_SAMPLES  # a sample is the fifth segment of its 30 s


def random_samples(
    source: Path | bytes,
    count: int,
    *,
    seed: int | Sequence[int],
    max_seconds: float = LONGEST_SECONDS,
    other_rates: Sequence[int] = (),
) -> list[Window]:
    """Draw `count` samples of a song (path or content of a file), uniformly, sorted by position.

    The same `seed` draws the same samples. Each window has one segment, the sample; near the ends
    of the song it is another than the fifth. Songs shorter than 30 s are padded with silence.
    `other_rates` are as in `read_windows`. The song is decoded twice, so that it is never in
    memory as a whole.

    Raises `AudioError` if the song cannot be decoded, or is shorter than a sample.
    """
    length = _length(source)
    if length < SEGMENT_SAMPLES:
        raise AudioError(f"is {length / SAMPLE_RATE:.2f} s long, shorter than a sample")
    random = np.random.default_rng(seed)
    last = length - SEGMENT_SAMPLES
    sample_starts = np.sort(random.integers(0, last, endpoint=True, size=count))
    starts = np.clip(sample_starts - BEFORE, 0, max(0, length - CLIP_SAMPLES))
    rates = (SAMPLE_RATE, *other_rates)
    parts = {rate: np.zeros((count, CLIP_SECONDS * rate), dtype=np.float32) for rate in rates}
    positions = dict.fromkeys(rates, 0)
    for blocks in resampled(source, max_seconds, other_rates):
        for rate, block in zip(rates, blocks, strict=True):
            position, end = positions[rate], positions[rate] + len(block)
            for part, start in zip(parts[rate], starts * rate // SAMPLE_RATE, strict=True):
                first, stop = max(start, position), min(start + len(part), end)
                if first < stop:
                    part[first - start : stop - start] = block[first - position : stop - position]
            positions[rate] = end
    return [
        Window(
            parts[SAMPLE_RATE][number],
            int(start),
            length,
            (int(sample_start - start),),
            {rate: parts[rate][number] for rate in other_rates},
        )
        for number, (start, sample_start) in enumerate(zip(starts, sample_starts, strict=True))
    ]


def _length(source: Path | bytes) -> int:
    """Count the samples of a song at `SAMPLE_RATE` by decoding it; headers can be wrong."""
    with Stream(source) as stream:
        frames = sum(len(block) for block in stream.blocks())
        return frames * SAMPLE_RATE // stream.sample_rate
