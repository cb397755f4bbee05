"""What was heard of new songs, as the table that `genre.drift.finding.compare` reads.

A row a song: `path` (below the folder that was answered, with slashes), `sha256`, `genre` and
`confidence` (answered; `confidence` from the 30 s alone that training would look at, and NaN where
those are silent), and a float64 column a feature, its mean over these 30 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from genre.drift.reference import Reference

if TYPE_CHECKING:
    import pandas as pd

    from genre.classifier import Answer, ClipWanted

KEYS = ("path", "sha256", "genre")
CONFIDENCE = "confidence"


def wanted(reference: Reference) -> ClipWanted:
    """What a classifier must tell of a song, so that it can be compared with `reference`."""
    from genre.classifier import ClipWanted

    return ClipWanted(reference.position, tuple(reference.columns))


def table(answered: Iterable[tuple[str, str, Answer]], reference: Reference) -> pd.DataFrame:
    """The table of songs, given as path, hash and the answer with its `clip`."""
    import pandas as pd

    rows = [
        {
            "path": path,
            "sha256": sha256,
            "genre": answer.genre,
            CONFIDENCE: answer.clip.confidence if answer.clip else float("nan"),
            **(answer.clip.columns if answer.clip else {}),
        }
        for path, sha256, answer in answered
    ]
    kinds = dict.fromkeys(KEYS, "str") | dict.fromkeys((CONFIDENCE, *reference.columns), "float64")
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)
