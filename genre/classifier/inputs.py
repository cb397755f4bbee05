"""What the models look at, of a stretch of a song: made as the pipeline makes it of a clip.

The settings are those that the classifier was trained with (`Ensemble.front`): sections of
`params.yaml`, checked by their own schema.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from genre.audio import SAMPLE_RATE, SEGMENT_SAMPLES, SEGMENT_SECONDS, Samples
from genre.classifier.windows import Stretch
from genre.core.errors import InputError
from genre.core.params import (
    AUTO,
    Family,
    FeatureParams,
    LogMelParams,
    MusicnnParams,
    Section,
    SpectrogramParams,
)
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


def families(inputs: Collection[str], front: Front) -> tuple[Family, ...]:
    """Which families of features `inputs` are made of; raises as `looks_at` does."""
    if "features_3s" not in inputs:
        return ()
    return tuple(_families(_settings(front, "features", FeatureParams, csv=False)))


def others(inputs: Collection[str], front: Front) -> tuple[int, ...]:
    """The sample rates that are needed besides `SAMPLE_RATE`."""
    if "musicnn" not in families(inputs, front):
        return ()
    from genre.features.musicnn import SAMPLE_RATE as MUSICNN_RATE

    return (MUSICNN_RATE,)


def preload(inputs: Collection[str], front: Front) -> list[str]:
    """Modules that a worker will need to make `inputs`."""
    kernels = {"report": "genre.features.report.clips", "extended": "genre.features.extended.clips"}
    modules = ["soundfile", "soxr"]
    for family in families(inputs, front):
        if family in kernels:
            modules += import_module(kernels[family]).KERNELS
        else:
            modules += ["librosa.filters", "torch", "genre.features.musicnn.front_end"]
    if set(inputs) - {"features_3s"}:
        modules.append("genre.models.images")
    if "spectrogram" in inputs:
        modules += ["scipy.signal", "matplotlib", "PIL.Image"]
    return modules


def tag_columns(ensemble: Ensemble) -> dict[str, list[str]]:
    """The tags of the pretrained networks that `ensemble` listens with, and the columns of each."""
    if "musicnn" not in families(ensemble.inputs, ensemble.front):
        return {}
    from genre.features.musicnn import columns

    found: dict[str, list[str]] = {}
    for weights in _settings(ensemble.front, "musicnn", MusicnnParams).weights:
        for tag, column in columns.tag_columns(weights).items():
            found.setdefault(tag.lower(), []).append(column)
    return found


def _features(front: Front, name: str, pretrained: Path | None) -> Look:
    """The columns of the chosen families, side by side."""
    settings = _settings(front, "features", FeatureParams, csv=False)
    makers: dict[Family, Callable[[], Look]] = {
        "report": lambda: _report(settings),
        "extended": lambda: _extended(settings),
        "musicnn": lambda: _musicnn(front, name, pretrained),
    }
    each = [makers[family]() for family in _families(settings)]

    def look(stretch: Stretch, offsets: Sequence[int]) -> Columns:
        columns: Columns = {}
        for one in each:
            columns |= one(stretch, offsets)
        return columns

    return look


def _families(settings: FeatureParams) -> list[Family]:
    if settings.families == AUTO:
        raise InputError(
            "the classifier's settings of features have families auto, expected a list; choose it "
            "again (dvc repro select)"
        )
    return settings.families


def _report(settings: FeatureParams) -> Look:
    from genre.features.report import NAMES, extract

    return _extracted(NAMES, extract, settings)


def _extended(settings: FeatureParams) -> Look:
    from genre.features.extended import NAMES, extract

    return _extracted(NAMES, extract, settings)


def _extracted(
    names: Sequence[str], extract: Callable[..., Mapping[str, float]], settings: FeatureParams
) -> Look:
    frames = {"n_fft": settings.n_fft, "hop_length": settings.hop_length}

    def look(stretch: Stretch, offsets: Sequence[int]) -> Columns:
        rows = [extract(stretch.segment(offset), SAMPLE_RATE, **frames) for offset in offsets]
        return {name: [row[name] for row in rows] for name in names}

    return look


def _musicnn(front: Front, name: str, pretrained: Path | None) -> Look:
    """What the pretrained networks hear; every layer, so that tags can be told too."""
    from genre.features.musicnn import SAMPLE_RATE as MUSICNN_RATE
    from genre.features.musicnn import columns
    from genre.features.musicnn.embedder import embed, patch_middles

    settings = _settings(front, "musicnn", MusicnnParams)
    if pretrained is None:
        raise InputError(
            f"the classifier {name} listens with pretrained weights and has none with it; choose "
            "it again (dvc repro select)"
        )
    names = columns.names(settings.weights)

    def look(stretch: Stretch, offsets: Sequence[int]) -> Columns:
        patches = embed(stretch.others[MUSICNN_RATE], settings, pretrained)
        rows = columns.of_segments(
            patches,
            patch_middles(len(patches), settings),
            [offset / SAMPLE_RATE for offset in offsets],
            SEGMENT_SECONDS,
        )
        return dict(zip(names, rows.T, strict=True))

    return look


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


def _settings(front: Front, name: str, section: type[AnySection], **unheard: Any) -> AnySection:
    try:
        return section.model_validate({**front.get(name, {}), **unheard})
    except ValidationError as error:
        problem = error.errors()[0]
        raise InputError(
            f"the classifier's settings of {name} do not say what it looks at "
            f"({'.'.join(map(str, problem['loc']))}: {problem['msg']}); choose it again "
            "(dvc repro select)"
        ) from error
