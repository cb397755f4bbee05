"""What a classifier says about a song."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """The probabilities of each genre in one segment, which starts `start_s` into the song."""

    start_s: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Choice:
    """A genre and how likely it is, between 0 and 1."""

    genre: str
    probability: float


@dataclass(frozen=True)
class Tag:
    """What a song sounds like, in a listener's word, and how strongly, between 0 and 1."""

    tag: str
    activation: float


@dataclass(frozen=True)
class ClipWanted:
    """What is asked about the 30 s of a song that training looks at.

    `position` is `trim.position`; `columns` are the features that are wanted.
    """

    position: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Clip:
    """What was heard in the 30 s of a song that training looks at.

    `confidence` is the highest probability that a genre has from them alone, calibrated; `columns`
    are the means of the features over their segments.
    """

    confidence: float
    columns: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """What a classifier says about one song; `top` is sorted, likeliest first.

    `seconds` were listened to; `timeline` is null unless it was asked for, and leaves out segments
    of digital silence. Probabilities of the song are calibrated, those of a moment are not. `tags`
    is null unless they were asked for, and sorted, strongest first; activations are no
    probabilities of anything, each tag is answered by itself. `clip` is null unless it was asked
    for, and where those 30 s are silent. `warning` says that the song was cut off, if so.
    """

    genre: str
    probability: float
    top: tuple[Choice, ...]
    seconds: float
    timeline: tuple[Moment, ...] | None = None
    tags: tuple[Tag, ...] | None = None
    clip: Clip | None = None
    warning: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `timeline`, `tags` and `warning` only if there are any.

        Without `clip`, which is for comparing songs with each other.
        """
        values = asdict(self)
        del values["clip"]
        values["top"] = list(values["top"])
        for name in ("timeline", "tags"):
            if values[name] is not None:
                values[name] = list(values[name])
        optional = ("timeline", "tags", "warning")
        return {k: value for k, value in values.items() if k not in optional or value is not None}
