"""A trained classifier that listens to songs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE
from genre.classifier.answers import Answer, Choice, Moment
from genre.classifier.inputs import looks
from genre.classifier.stretches import LONGEST_SECONDS, Stretch, stretches
from genre.errors import AudioError, ParameterError
from genre.models.ensemble import Ensemble

TOP = 3  # genres that an answer names


class Classifier:
    """An ensemble of trained models, asked about whole songs."""

    def __init__(self, ensemble: Ensemble) -> None:
        """Wrap `ensemble`; raises `InputError` where it cannot be asked about a song."""
        self.ensemble = ensemble
        self._looks = looks(ensemble)

    @classmethod
    def from_folder(cls, folder: str | Path) -> Classifier:
        """Load the classifier in `folder` (see `genre.models.ensemble`); no code in it is run.

        Raises `InputError` where there is none or it is damaged.
        """
        return cls(Ensemble.load(folder))

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres that it knows."""
        return self.ensemble.classes

    def classify(
        self,
        source: str | Path | bytes,
        *,
        top: int = TOP,
        timeline: bool = False,
        max_seconds: float = LONGEST_SECONDS,
    ) -> Answer:
        """Listen to a whole song, given as a file's path or its content, and name `top` genres.

        Raises `AudioError` where it cannot be heard, is silent or longer than `max_seconds` (see
        `genre.classifier.stretches`), `ParameterError` where `top` is below 1.
        """
        if top < 1:
            raise ParameterError(f"top is {top}, expected at least 1")
        starts: list[float] = []
        parts: list[npt.NDArray[np.float64]] = []
        end = 0
        path = Path(source) if isinstance(source, str) else source
        for stretch in stretches(path, max_seconds=max_seconds):
            offsets = [offset for offset in stretch.offsets if stretch.segment(offset).any()]
            if offsets:
                parts.append(self._proba(stretch, offsets))
                starts += [(stretch.start + offset) / SAMPLE_RATE for offset in offsets]
            end = stretch.end
        if not parts:
            raise AudioError("is silent from beginning to end")
        each = np.concatenate(parts)
        choices = self._choices(self.ensemble.song(each), top)
        moments = None
        if timeline:
            moments = tuple(
                Moment(start, dict(zip(self.classes, map(float, row), strict=True)))
                for start, row in zip(starts, each, strict=True)
            )
        best = choices[0]
        return Answer(best.genre, best.probability, choices, end / SAMPLE_RATE, moments)

    def _proba(self, stretch: Stretch, offsets: list[int]) -> npt.NDArray[np.float64]:
        """The probabilities of the segments at `offsets` [shape=(segments, classes)]."""
        return self.ensemble.proba(
            {name: look(stretch, offsets) for name, look in self._looks.items()}
        )

    def _choices(self, song: npt.NDArray[np.float64], top: int) -> tuple[Choice, ...]:
        order = np.argsort(-song, kind="stable")[:top]
        return tuple(Choice(self.classes[i], float(song[i])) for i in order)
