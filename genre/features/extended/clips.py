"""The extended columns of one clip of the pipeline, as `genre.features.report.clips` has the 57."""

from __future__ import annotations

from functools import partial

from genre.features.extended import NAMES, extract_clip
from genre.features.report import clips

# What a worker needs compiled; loaded once, before workers are forked, where it can be.
KERNELS = (
    "genre.features.extended.change",
    "genre.features.extended.contrast",
    "genre.features.extended.harmony",
    "genre.features.extended.level",
    "genre.features.extended.onsets",
    "genre.features.report.analysis",
    "genre.features.report.pitch",
    "genre.features.report.temporal",
)

rows_of_clip = partial(clips.rows_of_clip, names=NAMES, extract=extract_clip)
