"""The extended columns: what the literature found beside the 57, defined by librosa's functions.

Conventions: as in `genre.features.report`, whose spectrum, mel bands and kernels this family starts
from. No column changes with the level of a recording, as long as what is heard lies above librosa's
floors. A row is a dict of the columns in the order of `NAMES`.
"""

from __future__ import annotations

from genre.features.extended.engine import extract, extract_clip
from genre.features.extended.names import NAMES

__all__ = ["NAMES", "extract", "extract_clip"]
