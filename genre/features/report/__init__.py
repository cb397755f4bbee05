"""The 57 features of the public GTZAN tables, with the values of librosa 0.11's functions.

Conventions: `y` is mono audio, float32, shape=(n,), full scale -1 to 1; `sr` is in Hz. A row is a
dict of the 57 columns in the order of `NAMES`.
"""

from __future__ import annotations

from genre.features.report.engine import extract, extract_clip, extract_segments
from genre.features.report.names import NAMES

__all__ = ["NAMES", "extract", "extract_clip", "extract_segments"]
