"""What the models look at, of a stretch of a song: made as the pipeline makes it of a clip.

The settings are those that the classifier was trained with (`Ensemble.front`): sections of
`params.yaml`, checked by their own schema.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from genre.audio import SAMPLE_RATE, SEGMENT_SAMPLES, Samples
from genre.classifier.windows import Stretch
from genre.core.errors import InputError
from genre.core.params import (
    AUTO,
    FeatureParams,
    LogMelParams,
    Params,
    Section,
    SpectrogramParams,
)
from genre.features.families import FAMILIES, Extractor
from genre.models.base import Input
from genre.models.images import cut

if TYPE_CHECKING:
    from genre.models.ensemble import Ensemble

Look = Callable[[Stretch, Sequence[int]], Any]  # the rows of the segments at these offsets
Front = Mapping[str, Mapping[str, Any]]
Columns = dict[str, Any]  # values a segment, by the column's name: pandas is slow to import
AnySection = TypeVar("AnySection", bound=Section)


def looks(ensemble: Ensemble) -> dict[Input, Look]:
    """How each input of `ensemble` is made; raises as `looks_at` does."""
    return looks_at(ensemble.inputs, ensemble.front, ensemble.name, ensemble.pretrained)


def looks_at(
    inputs: Sequence[Input], front: Front, name: str, pretrained: Path | None = None
) -> dict[Input, Look]:
    """How each of `inputs` is made for the classifier `name`, with the settings `front`.

    `pretrained` is the folder of the weights that listen in its place, where it needs them. Raises
    `InputError` where it looks at what a song of any length does not give, or does not say with
    which settings.
    """
    makers: dict[str, Callable[[], Look]] = {
        "features_3s": lambda: _features(front, name, pretrained),
        "log_mel": lambda: _log_mel(front),
        "spectrogram": lambda: _spectrogram(front),
    }
    if unknown := [one for one in inputs if one not in makers]:
        raise InputError(
            f"the classifier {name} answers from {unknown[0]}, expected "
            f"{', '.join(makers)}: it cannot be asked about a song"
        )
    return {one: makers[one]() for one in inputs}


def families(inputs: Collection[str], front: Front) -> tuple[str, ...]:
    """Which families of features `inputs` are made of; raises as `looks_at` does."""
    if "features_3s" not in inputs:
        return ()
    return tuple(_families(_settings(front, "features", FeatureParams)))


def others(inputs: Collection[str], front: Front) -> tuple[int, ...]:
    """The sample rates that are needed besides `SAMPLE_RATE`."""
    rates = {FAMILIES[name].extractor_class.sample_rate for name in families(inputs, front)}
    return tuple(sorted(rates - {SAMPLE_RATE}))


def preload(inputs: Collection[str], front: Front) -> list[str]:
    """Modules that a worker will need to make `inputs`."""
    modules = ["soundfile", "soxr"]
    for family in families(inputs, front):
        modules += FAMILIES[family].preload
    if set(inputs) - {"features_3s"}:
        modules.append("genre.models.images")
    if "spectrogram" in inputs:
        modules += ["scipy.signal", "matplotlib", "PIL.Image"]
    return modules


def tag_columns(ensemble: Ensemble) -> dict[str, list[str]]:
    """The tags that the families of `ensemble` predict, and the columns of each."""
    found: dict[str, list[str]] = {}
    for name in families(ensemble.inputs, ensemble.front):
        if FAMILIES[name].tags:
            found |= _extractor(name, ensemble.front, ensemble.pretrained).tags
    return found


def _features(front: Front, name: str, pretrained: Path | None) -> Look:
    """The columns of the chosen families, side by side."""
    chosen = families(["features_3s"], front)
    if pretrained is None and (needed := [one for one in chosen if FAMILIES[one].pretrained]):
        raise InputError(
            f"the classifier {name} needs the pretrained weights of {needed[0]} and has none with "
            "it; choose it again (dvc repro select)"
        )
    extractors = [_extractor(family, front, pretrained) for family in chosen]

    def look(stretch: Stretch, offsets: Sequence[int]) -> Columns:
        columns: Columns = {}
        for one in extractors:
            y = stretch.y if one.sample_rate == SAMPLE_RATE else stretch.others[one.sample_rate]
            columns |= zip(one.columns, one.segments(y, offsets).T, strict=True)
        return columns

    return look


def _extractor(name: str, front: Front, pretrained: Path | None) -> Extractor:
    family = FAMILIES[name]
    section: Any = Params.model_fields[family.section].annotation
    return family.open(_settings(front, family.section, section), pretrained)


def _families(settings: FeatureParams) -> list[str]:
    if settings.families == AUTO:
        raise InputError(
            "the classifier's settings of features have families auto, expected a list; choose it "
            "again (dvc repro select)"
        )
    if unknown := [name for name in settings.families if name not in FAMILIES]:
        raise InputError(
            f"the classifier was trained on the feature family {unknown[0]}, expected one of "
            f"{', '.join(FAMILIES)}: update the software, or train it again"
        )
    return settings.families


def _spectrogram(front: Front) -> Look:
    from genre.features.spectrogram import draw

    settings = _settings(front, "spectrograms", SpectrogramParams)
    return _pictures(lambda y: draw(y, settings).transpose(2, 0, 1))


def _log_mel(front: Front) -> Look:
    from genre.features.log_mel import log_mel

    settings = _settings(front, "log_mel", LogMelParams)
    return _pictures(lambda y: log_mel(y, settings)[np.newaxis])


def _pictures(draw: Callable[[Samples], npt.NDArray[np.uint8]]) -> Look:
    def look(stretch: Stretch, offsets: Sequence[int]) -> npt.NDArray[np.uint8]:
        return segments(draw(stretch.y), offsets)

    return look


def segments(picture: npt.NDArray[np.uint8], offsets: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Cut the segments that start at the samples `offsets` out of the picture of a stretch.

    `picture` is [shape=(channels, height, width)]; returns [shape=(n, channels, height, width //
    10)]. A segment between two of the ten parts of a clip starts at the nearest column.
    """
    parts = cut(picture[np.newaxis])
    narrow = parts.shape[-1]
    found = []
    for offset in offsets:
        part, rest = divmod(offset, SEGMENT_SAMPLES)
        first = round(offset * narrow / SEGMENT_SAMPLES)
        found.append(picture[..., first : first + narrow] if rest else parts[part])
    return np.stack(found)


def _settings(front: Front, name: str, section: type[AnySection]) -> AnySection:
    try:
        return section.model_validate(front.get(name, {}))
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"the classifier's settings of {name} do not say what it looks at "
            f"({'.'.join(map(str, problem['loc']))}: {problem['msg']}); choose it again "
            "(dvc repro select)"
        ) from error
