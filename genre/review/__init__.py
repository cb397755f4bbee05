"""What a curator should listen to: suspected labels, clips that are mostly noise, duplicates.

Conventions
-----------
Everything here is a suggestion; nothing is changed or removed by itself. A *finding* is a row of
the table with the columns `COLUMNS`: `kind` (one of `KINDS`), `path` (relative to the collection)
and `genre` of a song, `what` was found and a `suggestion`, both in words, a `score` (the higher,
the surer; null where there is none), and where to listen, `start_s` to `end_s`, in seconds of the
song as it lies in the collection (null where there is nothing to listen to).
"""

from genre.review.defects import Fault, judge, measure, measures_of_clip, read_measures
from genre.review.findings import (
    COLUMNS,
    DUPLICATE,
    FAULT,
    KINDS,
    LABEL,
    SET_ASIDE,
    TWO_GENRES,
    collect,
    duplicate_findings,
    fault_findings,
    label_findings,
    set_aside_findings,
)
from genre.review.labels import suspected_labels
from genre.review.page import page

__all__ = [
    "COLUMNS",
    "DUPLICATE",
    "FAULT",
    "KINDS",
    "LABEL",
    "SET_ASIDE",
    "TWO_GENRES",
    "Fault",
    "collect",
    "duplicate_findings",
    "fault_findings",
    "judge",
    "label_findings",
    "measure",
    "measures_of_clip",
    "page",
    "read_measures",
    "set_aside_findings",
    "suspected_labels",
]
