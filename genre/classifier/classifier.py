"""A trained classifier that listens to songs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genre.audio import CLIP_SECONDS, SAMPLE_RATE, SEGMENT_SECONDS
from genre.classifier.inputs import looks, others, tag_columns
from genre.classifier.predictions import Answer, Choice, Clip, ClipWanted, Moment, Tag
from genre.classifier.windows import LONGEST_SECONDS, cut_off, stretches
from genre.core.errors import AudioError, ParameterError
from genre.models.base import Input
from genre.models.ensemble import Ensemble

TOP = 3  # genres that an answer names
TAGS = 5  # words for its sound
FEATURES: Input = "features_3s"
NO_TAGS = (
    "this model does not predict tags: it was trained without musicnn (features.families of "
    "params.yaml)"
)


class Classifier:
    """An ensemble of trained models, asked about whole songs."""

    def __init__(self, ensemble: Ensemble) -> None:
        """Wrap `ensemble`; raises `InputError` where it cannot be asked about a song."""
        self.ensemble = ensemble
        self._looks = looks(ensemble)
        self._others = others(ensemble.inputs, ensemble.front)
        self._tags = tag_columns(ensemble)

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

    @property
    def knows_tags(self) -> bool:
        """Whether it can say what a song sounds like."""
        return bool(self._tags)

    def classify(
        self,
        source: str | Path | bytes,
        *,
        top: int = TOP,
        timeline: bool = False,
        tags: int = 0,
        max_seconds: float = LONGEST_SECONDS,
        clip: ClipWanted | None = None,
    ) -> Answer:
        """Listen to a whole song, given as a file's path or its content, and name `top` genres.

        `tags` of the words that a pretrained network has for it are named too, and the features
        that `clip` wants. Raises `AudioError` where it cannot be heard, is silent or longer than
        `max_seconds` (see `genre.classifier.windows`), `ParameterError` where `top` is below 1,
        or `tags` are asked of a classifier that knows none.
        """
        if top < 1:
            raise ParameterError(f"top is {top}, expected at least 1")
        if tags < 0:
            raise ParameterError(f"tags is {tags}, expected at least 0")
        if tags and not self.knows_tags:
            raise ParameterError(NO_TAGS)
        starts: list[float] = []
        parts: list[npt.NDArray[np.float64]] = []
        words: dict[str, list[npt.NDArray[np.float64]]] = {tag: [] for tag in self._tags}
        features: dict[str, list[float]] = {}
        end, header_seconds = 0, None
        path = Path(source) if isinstance(source, str) else source
        for stretch in stretches(path, max_seconds=max_seconds, others=self._others):
            offsets = [offset for offset in stretch.offsets if stretch.segment(offset).any()]
            if offsets:
                seen = {name: look(stretch, offsets) for name, look in self._looks.items()}
                parts.append(self.ensemble.proba(seen))
                for tag, columns in self._tags.items() if tags else ():
                    words[tag].append(np.mean([seen[FEATURES][name] for name in columns], axis=0))
                for name in clip.columns if clip and FEATURES in seen else ():
                    if name in seen[FEATURES]:
                        features.setdefault(name, []).extend(seen[FEATURES][name])
                starts += [(stretch.start + offset) / SAMPLE_RATE for offset in offsets]
            end, header_seconds = stretch.end, stretch.header_seconds
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
        strong = strongest(words, tags) if tags else None
        seconds = end / SAMPLE_RATE
        part = self._clip(clip, seconds, np.array(starts), each, features) if clip else None
        warning = cut_off(seconds, header_seconds)
        return Answer(
            best.genre, best.probability, choices, seconds, moments, strong, part, warning
        )

    def _clip(
        self,
        wanted: ClipWanted,
        seconds: float,
        starts: npt.NDArray[np.float64],
        proba: npt.NDArray[np.float64],
        features: Mapping[str, Sequence[float]],
    ) -> Clip | None:
        """What the segments say that lie, by more than half, in the clip that `wanted` names."""
        first = max(0.0, seconds - CLIP_SECONDS) / 2 if wanted.position == "middle" else 0.0
        after = starts - (first - SEGMENT_SECONDS / 2)
        inside = (after >= 0) & (after < CLIP_SECONDS)
        if not inside.any():
            return None
        means = {
            name: float(np.asarray(values, dtype=np.float64)[inside].mean())
            for name, values in features.items()
        }
        return Clip(float(self.ensemble.song(proba[inside]).max()), means)

    def _choices(self, song: npt.NDArray[np.float64], top: int) -> tuple[Choice, ...]:
        order = np.argsort(-song, kind="stable")[:top]
        return tuple(Choice(self.classes[i], float(song[i])) for i in order)


def strongest(
    words: Mapping[str, Sequence[npt.NDArray[np.float64]]], count: int
) -> tuple[Tag, ...]:
    """The `count` tags that are strongest in the mean over all segments."""
    means = {tag: float(np.concatenate(parts).mean()) for tag, parts in words.items()}
    order = sorted(means, key=lambda tag: (-means[tag], tag))[:count]
    return tuple(Tag(tag, means[tag]) for tag in order)
