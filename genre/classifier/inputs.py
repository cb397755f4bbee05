"""What the models look at, of a stretch of a song: made as the pipeline makes it of a clip.

The settings are those that the classifier was trained with (`Ensemble.front`): sections of
`params.yaml`, checked by their own schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from genre.audio import SAMPLE_RATE, SEGMENT_SAMPLES, Samples
from genre.classifier.stretches import Stretch
from genre.errors import InputError
from genre.features import NAMES, extract
from genre.models.base import Input
from genre.models.images import cut
from genre.params import Section

if TYPE_CHECKING:
    from genre.models.ensemble import Ensemble

Look = Callable[[Stretch, Sequence[int]], Any]  # the rows of the segments at these offsets
Front = Mapping[str, Mapping[str, Any]]
AnySection = TypeVar("AnySection", bound=Section)


def looks(ensemble: Ensemble) -> dict[Input, Look]:
    """How each input of `ensemble` is made; raises as `looks_at` does."""
    return looks_at(ensemble.inputs, ensemble.front, ensemble.name)


def looks_at(inputs: Sequence[Input], front: Front, name: str) -> dict[Input, Look]:
    """How each of `inputs` is made for the classifier `name`, with the settings `front`.

    Raises `InputError` where it looks at what a song of any length does not give, or does not say
    with which settings.
    """
    makers: dict[str, Callable[[Front], Look]] = {
        "features_3s": _features,
        "log_mel": _log_mel,
        "spectrogram": _spectrogram,
    }
    if unknown := [one for one in inputs if one not in makers]:
        raise InputError(
            f"the classifier {name} answers from {unknown[0]}, expected "
            f"{', '.join(makers)}: it cannot be asked about a song"
        )
    return {one: makers[one](front) for one in inputs}


def _features(front: Front) -> Look:
    from genre.params import FeatureParams

    settings = _settings(front, "features", FeatureParams, csv=False)
    frames = {"n_fft": settings.n_fft, "hop_length": settings.hop_length}

    def look(stretch: Stretch, offsets: Sequence[int]) -> dict[str, list[float]]:
        rows = [extract(stretch.segment(offset), SAMPLE_RATE, **frames) for offset in offsets]
        return {name: [row[name] for row in rows] for name in NAMES}  # pandas is slow to import

    return look


def _spectrogram(front: Front) -> Look:
    from genre.params import SpectrogramParams
    from genre.spectrogram import draw

    settings = _settings(front, "spectrograms", SpectrogramParams)
    return _pictures(lambda y: draw(y, settings).transpose(2, 0, 1))


def _log_mel(front: Front) -> Look:
    from genre.log_mel import log_mel
    from genre.params import LogMelParams

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
