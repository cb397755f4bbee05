"""A trained classifier, applied to whole songs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genre.audio import CLIP_SECONDS, SAMPLE_RATE, SEGMENT_SECONDS, clip_start
from genre.classifier.inputs import input_makers, other_rates, tag_columns
from genre.classifier.predictions import (
    ClipRequest,
    ClipSummary,
    GenreProbability,
    Prediction,
    Tag,
    TimelineSegment,
)
from genre.classifier.windows import LONGEST_SECONDS, read_windows, truncation_warning
from genre.core.errors import AudioError, ParameterError
from genre.models.base import Input
from genre.models.ensemble import Ensemble

TOP = 3  # genres in a prediction
TAGS = 5  # tags in a prediction, if tags are requested
FEATURES: Input = "features_3s"
NO_TAGS = (
    "this model does not predict tags: it was trained without musicnn (features.families of "
    "params.yaml)"
)


class Classifier:
    """An ensemble of trained models that classifies whole songs."""

    def __init__(self, ensemble: Ensemble) -> None:
        """Wrap `ensemble`; raises `InputError` if it cannot be applied to songs."""
        self.ensemble = ensemble
        self._makers = input_makers(ensemble)
        self._other_rates = other_rates(ensemble.inputs, ensemble.preprocessing)
        self._tags = tag_columns(ensemble)

    @classmethod
    def from_folder(cls, folder: str | Path) -> Classifier:
        """Load the classifier in `folder` (see `genre.models.ensemble`); no code in it is run.

        Raises `InputError` if it is missing or damaged.
        """
        return cls(Ensemble.load(folder))

    @property
    def classes(self) -> tuple[str, ...]:
        """The genres that it predicts."""
        return self.ensemble.classes

    @property
    def predicts_tags(self) -> bool:
        """Whether it predicts tags."""
        return bool(self._tags)

    def classify(
        self,
        source: str | Path | bytes,
        *,
        top: int = TOP,
        timeline: bool = False,
        tags: int = 0,
        max_seconds: float = LONGEST_SECONDS,
        clip: ClipRequest | None = None,
    ) -> Prediction:
        """Classify a whole song, given as the path or the content of a file.

        Returns the `top` most likely genres, with `timeline` the probabilities of every segment,
        the `tags` strongest tags, and the summary of the 30 s that `clip` requests. Raises
        `AudioError` if the song cannot be decoded, is silent, or is longer than `max_seconds`;
        `ParameterError` if `top` is below 1, or if the classifier predicts no tags and `tags` is
        above 0.
        """
        if top < 1:
            raise ParameterError(f"top is {top}, expected at least 1")
        if tags < 0:
            raise ParameterError(f"tags is {tags}, expected at least 0")
        if tags and not self.predicts_tags:
            raise ParameterError(NO_TAGS)
        starts: list[float] = []
        parts: list[npt.NDArray[np.float64]] = []
        activations: dict[str, list[npt.NDArray[np.float64]]] = {tag: [] for tag in self._tags}
        features: dict[str, list[float]] = {}
        end, header_seconds = 0, None
        path = Path(source) if isinstance(source, str) else source
        for window in read_windows(path, max_seconds=max_seconds, other_rates=self._other_rates):
            offsets = [offset for offset in window.offsets if window.segment(offset).any()]
            if offsets:
                inputs = {name: make(window, offsets) for name, make in self._makers.items()}
                parts.append(self.ensemble.proba(inputs))
                for tag, columns in self._tags.items() if tags else ():
                    activations[tag].append(
                        np.mean([inputs[FEATURES][name] for name in columns], axis=0)
                    )
                for name in clip.columns if clip and FEATURES in inputs else ():
                    if name in inputs[FEATURES]:
                        features.setdefault(name, []).extend(inputs[FEATURES][name])
                starts += [(window.start + offset) / SAMPLE_RATE for offset in offsets]
            end, header_seconds = window.end, window.header_seconds
        if not parts:
            raise AudioError("is silent from beginning to end")
        proba = np.concatenate(parts)
        top_genres = self._choices(self.ensemble.song(proba), top)
        segments = None
        if timeline:
            segments = tuple(
                TimelineSegment(start, dict(zip(self.classes, map(float, row), strict=True)))
                for start, row in zip(starts, proba, strict=True)
            )
        best = top_genres[0]
        top_tags = strongest(activations, tags) if tags else None
        seconds = end / SAMPLE_RATE
        clip_summary = (
            self._clip(clip, seconds, np.array(starts), proba, features) if clip else None
        )
        warning = truncation_warning(seconds, header_seconds)
        return Prediction(
            best.genre,
            best.probability,
            top_genres,
            seconds,
            segments,
            top_tags,
            clip_summary,
            warning,
        )

    def _clip(
        self,
        request: ClipRequest,
        seconds: float,
        starts: npt.NDArray[np.float64],
        proba: npt.NDArray[np.float64],
        features: Mapping[str, Sequence[float]],
    ) -> ClipSummary | None:
        """The summary of the segments of which more than half lies in the requested clip."""
        first = clip_start(seconds, CLIP_SECONDS, request.position)
        after = starts - (first - SEGMENT_SECONDS / 2)
        inside = (after >= 0) & (after < CLIP_SECONDS)
        if not inside.any():
            return None
        means = {
            name: float(np.asarray(values, dtype=np.float64)[inside].mean())
            for name, values in features.items()
        }
        return ClipSummary(float(self.ensemble.song(proba[inside]).max()), means)

    def _choices(self, song: npt.NDArray[np.float64], top: int) -> tuple[GenreProbability, ...]:
        order = np.argsort(-song, kind="stable")[:top]
        return tuple(GenreProbability(self.classes[i], float(song[i])) for i in order)


def strongest(
    activations: Mapping[str, Sequence[npt.NDArray[np.float64]]], count: int
) -> tuple[Tag, ...]:
    """The `count` tags with the highest mean activation over all segments."""
    means = {tag: float(np.concatenate(parts).mean()) for tag, parts in activations.items()}
    order = sorted(means, key=lambda tag: (-means[tag], tag))[:count]
    return tuple(Tag(tag, means[tag]) for tag in order)
