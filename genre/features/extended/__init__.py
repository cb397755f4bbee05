"""The extended columns: further features from the literature, defined by librosa's functions.

Conventions: as in `genre.features.report`, whose spectrum, mel bands and kernels this family uses.
No column depends on the level of a recording, as long as it is above librosa's floors. A row is a
dict of the columns in the order of `NAMES`.
"""

from __future__ import annotations

from genre.features.extended.engine import extract, extract_clip
from genre.features.extended.names import NAMES

__all__ = ["NAMES", "extract", "extract_clip"]
