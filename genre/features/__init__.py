"""Feature families and spectrograms: what models are trained on.

`extract`, `extract_segments` and `extract_clip` compute the 57 columns of the report (`NAMES`).
"""

from genre.features.report import NAMES, extract, extract_clip, extract_segments

__all__ = ["NAMES", "extract", "extract_clip", "extract_segments"]
