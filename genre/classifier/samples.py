"""Random samples of a song: 3 s from anywhere in it, each with the 30 s around it.

The 30 s are what pictures are made of, as in training; the sample is one segment of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genre.audio import CLIP_SAMPLES, CLIP_SECONDS, SAMPLE_RATE, SEGMENT_SAMPLES, Stream
from genre.classifier.windows import LONGEST_SECONDS, Stretch, resampled
from genre.core.errors import AudioError

BEFORE = 4 * SEGMENT_SAMPLES  # of the 30 s lie before a sample: it is their fifth segment


def random_samples(
    source: Path | bytes,
    count: int,
    *,
    seed: int | Sequence[int],
    max_seconds: float = LONGEST_SECONDS,
    others: Sequence[int] = (),
) -> list[Stretch]:
    """Draw `count` samples of a whole song, a file's path or its content, sorted by place.

    Every place is as likely as any other, and the same `seed` draws the same ones. Each stretch
    answers for one segment; `others` are as in `stretches`. Near the song's ends it lies
    elsewhere in the 30 s; songs that are shorter than those are padded with silence. The song is
    read twice and never held as a whole.

    Raises `AudioError` where it cannot be heard, or is shorter than a sample.
    """
    length = _length(source)
    if length < SEGMENT_SAMPLES:
        raise AudioError(f"is {length / SAMPLE_RATE:.2f} s long, shorter than a sample")
    random = np.random.default_rng(seed)
    last = length - SEGMENT_SAMPLES
    places = np.sort(random.integers(0, last, endpoint=True, size=count))
    starts = np.clip(places - BEFORE, 0, max(0, length - CLIP_SAMPLES))
    every = (SAMPLE_RATE, *others)
    parts = {rate: np.zeros((count, CLIP_SECONDS * rate), dtype=np.float32) for rate in every}
    positions = dict.fromkeys(every, 0)
    for blocks in resampled(source, max_seconds, others):
        for rate, block in zip(every, blocks, strict=True):
            position, end = positions[rate], positions[rate] + len(block)
            for part, start in zip(parts[rate], starts * rate // SAMPLE_RATE, strict=True):
                first, stop = max(start, position), min(start + len(part), end)
                if first < stop:
                    part[first - start : stop - start] = block[first - position : stop - position]
            positions[rate] = end
    return [
        Stretch(
            parts[SAMPLE_RATE][number],
            int(start),
            length,
            (int(place - start),),
            {rate: parts[rate][number] for rate in others},
        )
        for number, (start, place) in enumerate(zip(starts, places, strict=True))
    ]


def _length(source: Path | bytes) -> int:
    """How many samples the song has at `SAMPLE_RATE`: counted, as headers are not always true."""
    with Stream(source) as stream:
        frames = sum(len(block) for block in stream.blocks())
        return frames * SAMPLE_RATE // stream.sample_rate
