"""The extended columns of one clip of the pipeline, as `genre.features.clips` has the 57."""

from __future__ import annotations

from functools import partial

from genre.extended import NAMES, extract_clip
from genre.features import clips

# What a worker needs compiled; loaded once, before workers are forked, where it can be.
KERNELS = (
    "genre.extended.change",
    "genre.extended.contrast",
    "genre.extended.harmony",
    "genre.extended.level",
    "genre.extended.onsets",
    "genre.features.analysis",
    "genre.features.pitch",
    "genre.features.temporal",
)

rows_of_clip = partial(clips.rows_of_clip, names=NAMES, extract=extract_clip)
