"""Ask a trained model about a song: a file or its bytes in, genres with probabilities out.

A song is listened to whole, in the 3 s segments that the model was trained on, by the training's
own code (`genre.audio`, `genre.features`); its answer is the mean of the segments' probabilities,
as in evaluation, and segments of nothing but digital silence are left out as they are there. What
is left over at the end is heard in a last segment that ends with the song; a song shorter than 3 s
is padded with silence. Times are in seconds, probabilities sum to 1.
MLflow's face of this class is `genre/registry/pyfunc_model.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, SEGMENT_SAMPLES, Samples, load
from genre.errors import AudioError, InputError, ParameterError
from genre.features import extract
from genre.models import load_model
from genre.models.base import Model

TOP = 3  # genres that an answer names
INPUT = "features_3s"
FRAMES = "frames.json"


@dataclass(frozen=True)
class Frames:
    """The frames of the features that a model was trained on, in samples."""

    n_fft: int = 2048
    hop_length: int = 512

    def write(self, folder: Path) -> None:
        """Keep them in a model's folder."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True)
        (folder / FRAMES).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Frames | None:
        """What `write` kept in `folder`; null where there is nothing."""
        path = folder / FRAMES
        if not path.is_file():
            return None
        try:
            return cls(**json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: found no n_fft and hop_length ({error})") from error


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
class Answer:
    """What a model says about one song; `top` is sorted, likeliest first.

    `seconds` were listened to; `timeline` is null unless it was asked for.
    """

    genre: str
    probability: float
    top: tuple[Choice, ...]
    seconds: float
    timeline: tuple[Moment, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; `timeline` only where it was asked for."""
        values = asdict(self)
        values["top"] = list(values["top"])
        if self.timeline is None:
            del values["timeline"]
        else:
            values["timeline"] = list(values["timeline"])
        return values


class Classifier:
    """A trained model that listens to songs."""

    def __init__(self, model: Model, frames: Frames) -> None:
        """Wrap `model`, whose features were computed with `frames`.

        Raises `InputError` for a model that does not answer from the features of segments.
        """
        if model.input != INPUT:
            raise InputError(
                f"the model {model.name} answers from {model.input}, expected {INPUT}: "
                "it cannot be asked about a song"
            )
        self.model = model
        self.frames = frames

    @classmethod
    def from_folder(cls, folder: str | Path, frames: Frames | None = None) -> Classifier:
        """Load the model in `folder`; raises `InputError` where there is none or it is damaged.

        The frames are those that the folder names (models of the registry do), else `frames`, else
        librosa's defaults.
        """
        folder = Path(folder)
        return cls(load_model(folder), Frames.read(folder) or frames or Frames())

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres that it knows."""
        return self.model.classes

    def classify(
        self, source: str | Path | bytes, *, top: int = TOP, timeline: bool = False
    ) -> Answer:
        """Listen to a whole song, given as a file's path or its content.

        Raises `AudioError` where it cannot be heard or is silent, `ParameterError` where `top` is
        below 1.
        """
        if top < 1:
            raise ParameterError(f"top is {top}, expected at least 1")
        y = load(Path(source) if isinstance(source, str) else source)
        starts, rows = self._features(y)
        each = self.model.predict_proba(rows)
        mean = each.mean(axis=0)
        order = np.argsort(-mean, kind="stable")[:top]
        choices = tuple(Choice(self.classes[i], float(mean[i])) for i in order)
        moments = None
        if timeline:
            moments = tuple(
                Moment(start, dict(zip(self.classes, map(float, row), strict=True)))
                for start, row in zip(starts, each, strict=True)
            )
        best = choices[0]
        return Answer(best.genre, best.probability, choices, len(y) / SAMPLE_RATE, moments)

    def _features(self, y: Samples) -> tuple[list[float], npt.NDArray[np.float64]]:
        """Start of each segment in seconds, and its features [shape=(segments, features)]."""
        starts: list[float] = []
        rows: list[list[float]] = []
        for start, part in segments(y):
            if not part.any():
                continue
            values = extract(part, SAMPLE_RATE, **asdict(self.frames))
            starts.append(start / SAMPLE_RATE)
            rows.append([values[name] for name in self.model.features])
        if not rows:
            raise AudioError("is silent from beginning to end")
        return starts, np.array(rows, dtype=np.float64)


def segments(y: Samples) -> Iterator[tuple[int, Samples]]:
    """Cut a song [shape=(n,)] into segments: first sample, and float32 [shape=(SEGMENT_SAMPLES,)].

    They follow each other without gaps; where the song is no whole number of them long, the last
    one overlaps its neighbour so as to end with the song. A shorter song is padded with silence.
    """
    if len(y) < SEGMENT_SAMPLES:
        y = np.pad(y, (0, SEGMENT_SAMPLES - len(y)))
    starts = list(range(0, len(y) - SEGMENT_SAMPLES + 1, SEGMENT_SAMPLES))
    rest = len(y) % SEGMENT_SAMPLES
    if rest:
        starts.append(len(y) - SEGMENT_SAMPLES)
    for start in starts:
        yield start, y[start : start + SEGMENT_SAMPLES]
