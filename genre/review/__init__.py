"""Songs for a curator to review: suspicious labels, defective clips, duplicates.

Conventions
-----------
The review only suggests; it changes nothing. A *finding* is a row of the table with the columns
`COLUMNS`: `kind` (one of `KINDS`), `path` (relative to the collection) and `genre` of a song,
`what` was found and a `suggestion` as texts, a `score` (the higher, the more certain; may be
missing), and the part of the song to play, `start_s` to `end_s` in seconds of the file (may be
missing).
"""

from genre.review.defects import Defect, judge, measure, measures_of_clip, read_measures
from genre.review.findings import (
    COLUMNS,
    DEFECT,
    DUPLICATE,
    KINDS,
    LABEL,
    SET_ASIDE,
    TWO_GENRES,
    collect,
    defect_findings,
    duplicate_findings,
    label_findings,
    set_aside_findings,
)
from genre.review.labels import suspected_labels
from genre.review.page import page

__all__ = [
    "COLUMNS",
    "DEFECT",
    "DUPLICATE",
    "KINDS",
    "LABEL",
    "SET_ASIDE",
    "TWO_GENRES",
    "Defect",
    "collect",
    "defect_findings",
    "duplicate_findings",
    "judge",
    "label_findings",
    "measure",
    "measures_of_clip",
    "page",
    "read_measures",
    "set_aside_findings",
    "suspected_labels",
]
