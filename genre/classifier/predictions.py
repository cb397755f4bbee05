"""The prediction for a song, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TimelineSegment:
    """The probability of each genre in the segment that starts at `start_s` (seconds)."""

    start_s: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class GenreProbability:
    """A genre and its probability."""

    genre: str
    probability: float


@dataclass(frozen=True)
class Tag:
    """A tag that a pretrained network predicts, with its activation between 0 and 1."""

    tag: str
    activation: float


@dataclass(frozen=True)
class ClipRequest:
    """Asks for a summary of the 30 s of a song that training would use.

    `position` is `trim.position`; `columns` are the features to average.
    """

    position: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class ClipSummary:
    """The summary of the 30 s of a song that training would use.

    `confidence` is the highest calibrated probability of a genre over these 30 s; `columns` are
    the means of the features over their segments.
    """

    confidence: float
    columns: dict[str, float]


@dataclass(frozen=True)
class Prediction:
    """The prediction for one song; `top` is sorted, the most likely genre first.

    `seconds` is the length that was decoded. `timeline` leaves out segments of digital silence;
    its probabilities are not calibrated, those of the song are. `tags` are sorted, the strongest
    first; their activations are independent of each other and no probabilities. `clip` is also
    None if these 30 s are silent. `warning` is set if the file seems to be truncated. What was
    not requested is None.
    """

    genre: str
    probability: float
    top: tuple[GenreProbability, ...]
    seconds: float
    timeline: tuple[TimelineSegment, ...] | None = None
    tags: tuple[Tag, ...] | None = None
    clip: ClipSummary | None = None
    warning: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without `clip`; `timeline`, `tags`, `warning` only if not None."""
        values = asdict(self)
        del values["clip"]
        values["top"] = list(values["top"])
        for name in ("timeline", "tags"):
            if values[name] is not None:
                values[name] = list(values[name])
        optional = ("timeline", "tags", "warning")
        return {k: value for k, value in values.items() if k not in optional or value is not None}
