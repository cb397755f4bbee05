"""Compute the inputs of the models from a window of a song, as the pipeline does from a clip.

The settings are those that the classifier was trained with (`Ensemble.preprocessing`): sections of
`params.yaml`, checked by their schema.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from genre.audio import SAMPLE_RATE, SEGMENT_SAMPLES, Samples
from genre.classifier.windows import Window
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

InputMaker = Callable[[Window, Sequence[int]], Any]  # a window and offsets of segments in, rows out
Preprocessing = Mapping[str, Mapping[str, Any]]
Columns = dict[str, Any]  # arrays by column name; importing pandas would be slow
AnySection = TypeVar("AnySection", bound=Section)


def input_makers(ensemble: Ensemble) -> dict[Input, InputMaker]:
    """The function that computes each input of `ensemble`; raises as `make_inputs`."""
    return make_inputs(ensemble.inputs, ensemble.preprocessing, ensemble.name, ensemble.pretrained)


def make_inputs(
    inputs: Sequence[Input], preprocessing: Preprocessing, name: str, pretrained: Path | None = None
) -> dict[Input, InputMaker]:
    """The function that computes each of `inputs` for the classifier `name`.

    `pretrained` is the folder of the pretrained weights, if its features need any. Raises
    `InputError` if an input cannot be computed from a song of any length, or if `preprocessing`
    is incomplete.
    """
    makers: dict[str, Callable[[], InputMaker]] = {
        "features_3s": lambda: _features(preprocessing, name, pretrained),
        "log_mel": lambda: _log_mel(preprocessing),
        "spectrogram": lambda: _spectrogram(preprocessing),
    }
    if unknown := [one for one in inputs if one not in makers]:
        raise InputError(
            f"the classifier {name} needs the input {unknown[0]}, which cannot be computed from a "
            f"song; expected {', '.join(makers)}"
        )
    return {one: makers[one]() for one in inputs}


def families(inputs: Collection[str], preprocessing: Preprocessing) -> tuple[str, ...]:
    """The feature families of `inputs`; raises as `make_inputs`."""
    if "features_3s" not in inputs:
        return ()
    return tuple(_families(preprocessing))


def other_rates(inputs: Collection[str], preprocessing: Preprocessing) -> tuple[int, ...]:
    """The sample rates that the inputs need besides `SAMPLE_RATE`."""
    rates = {FAMILIES[name].extractor_class.sample_rate for name in families(inputs, preprocessing)}
    return tuple(sorted(rates - {SAMPLE_RATE}))


def preload(inputs: Collection[str], preprocessing: Preprocessing) -> list[str]:
    """The modules that a worker needs to compute `inputs`."""
    modules = ["soundfile", "soxr"]
    for family in families(inputs, preprocessing):
        modules += FAMILIES[family].preload
    if set(inputs) - {"features_3s"}:
        modules.append("genre.models.images")
    if "spectrogram" in inputs:
        modules += ["scipy.signal", "matplotlib", "PIL.Image"]
    return modules


def tag_columns(ensemble: Ensemble) -> dict[str, list[str]]:
    """The tags that the families of `ensemble` predict, and the columns of each."""
    found: dict[str, list[str]] = {}
    for name in families(ensemble.inputs, ensemble.preprocessing):
        if FAMILIES[name].tags:
            found |= _extractor(name, ensemble.preprocessing, ensemble.pretrained).tags
    return found


def _features(preprocessing: Preprocessing, name: str, pretrained: Path | None) -> InputMaker:
    """The columns of the chosen families, side by side."""
    chosen = _families(preprocessing)
    if pretrained is None and (needed := [one for one in chosen if FAMILIES[one].pretrained]):
        raise InputError(
            f"the classifier {name} needs the pretrained weights of {needed[0]} and has none with "
            "it; run the step select again (dvc repro select)"
        )
    extractors = [_extractor(family, preprocessing, pretrained) for family in chosen]

    def make(window: Window, offsets: Sequence[int]) -> Columns:
        columns: Columns = {}
        for one in extractors:
            y = window.y if one.sample_rate == SAMPLE_RATE else window.other_rates[one.sample_rate]
            columns |= zip(one.columns, one.segments(y, offsets).T, strict=True)
        return columns

    return make


def _extractor(name: str, preprocessing: Preprocessing, pretrained: Path | None) -> Extractor:
    family = FAMILIES[name]
    section: Any = Params.model_fields[family.section].annotation
    return family.open(_settings(preprocessing, family.section, section), pretrained)


def _families(preprocessing: Preprocessing) -> list[str]:
    settings = _settings(preprocessing, "features", FeatureParams)
    if settings.families == AUTO:
        raise InputError(
            "the settings of the classifier have features.families auto, expected a list; run the "
            "step select again (dvc repro select)"
        )
    if unknown := [name for name in settings.families if name not in FAMILIES]:
        raise InputError(
            f"the classifier was trained on the feature family {unknown[0]}, expected one of "
            f"{', '.join(FAMILIES)}: update the software, or train it again"
        )
    return settings.families


def _spectrogram(preprocessing: Preprocessing) -> InputMaker:
    from genre.features.spectrogram import draw

    settings = _settings(preprocessing, "spectrograms", SpectrogramParams)
    return _pictures(lambda y: draw(y, settings).transpose(2, 0, 1))


def _log_mel(preprocessing: Preprocessing) -> InputMaker:
    from genre.features.log_mel import log_mel

    settings = _settings(preprocessing, "log_mel", LogMelParams)
    return _pictures(lambda y: log_mel(y, settings)[np.newaxis])


def _pictures(draw: Callable[[Samples], npt.NDArray[np.uint8]]) -> InputMaker:
    def make(window: Window, offsets: Sequence[int]) -> npt.NDArray[np.uint8]:
        return segments(draw(window.y), offsets)

    return make


def segments(picture: npt.NDArray[np.uint8], offsets: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Cut the segments that start at the samples `offsets` out of the picture of a window.

    `picture` is [shape=(channels, height, width)]; returns [shape=(n, channels, height, width //
    10)]. An offset that is not a multiple of a segment is rounded to the nearest column.
    """
    parts = cut(picture[np.newaxis])
    narrow = parts.shape[-1]
    found = []
    for offset in offsets:
        part, rest = divmod(offset, SEGMENT_SAMPLES)
        first = round(offset * narrow / SEGMENT_SAMPLES)
        found.append(picture[..., first : first + narrow] if rest else parts[part])
    return np.stack(found)


def _settings(preprocessing: Preprocessing, name: str, section: type[AnySection]) -> AnySection:
    try:
        return section.model_validate(preprocessing.get(name, {}))
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"the settings of the classifier have an incomplete section {name} "
            f"({'.'.join(map(str, problem['loc']))}: {problem['msg']}); run the step select again "
            "(dvc repro select)"
        ) from error
