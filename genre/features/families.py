"""The table of feature families: description, extractor, and what their values depend on.

Training, classification, packaging and the model card read it. A new family is one row here and one
module with an `Extractor`. The module is imported when the family is used.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from genre.audio import (
    CLIP_SECONDS,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    SEGMENT_SECONDS,
    SEGMENTS_PER_CLIP,
    Samples,
    part_of_song,
    read_clip,
    resample,
    verify,
)
from genre.core.cache import VERSIONS, cache_key
from genre.core.errors import ParameterError
from genre.core.params import Section

Rows = npt.NDArray[Any]

LONG, SHORT = "30s", "3s"  # datasets with one row per song, and per segment
SEGMENT_STARTS = range(0, SEGMENTS_PER_CLIP * SEGMENT_SAMPLES, SEGMENT_SAMPLES)


class Dataset(NamedTuple):
    """A table of a family: its columns, and the seconds between a song's rows."""

    columns: Sequence[str]
    seconds: float = SEGMENT_SECONDS


class Extractor(ABC):
    """Computes the columns of a family from 30 s of a song.

    `y` is float32 mono at `sample_rate` [shape=(CLIP_SECONDS * sample_rate,)]. Segments are given
    by their first samples at `genre.audio.SAMPLE_RATE`, whatever `sample_rate` is.
    """

    sample_rate: ClassVar[int] = SAMPLE_RATE
    dtype: ClassVar[str] = "<f8"

    def __init__(self, settings: Any, pretrained: Path | None = None) -> None:
        """`settings`: the family's section of `params.yaml`; `pretrained`: the weights' folder."""
        self.settings, self.pretrained = settings, pretrained

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns of a segment."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """Those of `columns` that models are trained on."""
        return self.columns

    @property
    def tags(self) -> dict[str, list[str]]:
        """The tags that the family predicts, each with the columns whose mean it is."""
        return {}

    @property
    def weights(self) -> list[str]:
        """The names of the pretrained weights that it needs."""
        return []

    @abstractmethod
    def segments(self, y: Samples, starts: Sequence[int]) -> Rows:
        """The rows of the segments that begin at `starts` [shape=(len(starts), columns)]."""

    @abstractmethod
    def whole(self, y: Samples) -> Rows:
        """The row of the whole of `y` [shape=(columns,)]."""

    def compute(self, y: Samples) -> Rows:
        """The values of a song that are cached: by default its row, then those of its segments."""
        return np.vstack([self.whole(y), self.segments(y, SEGMENT_STARTS)])

    def datasets(self) -> dict[str, Dataset]:
        """The tables of this family."""
        return {LONG: Dataset(self.columns), SHORT: Dataset(self.columns)}

    def rows(self, computed: Rows) -> dict[str, Rows]:
        """The rows of one song in each of `datasets`, from what `compute` returned."""
        return {LONG: computed[:1], SHORT: computed[1:]}

    def decode(self, content: bytes) -> Rows:
        """What `compute` returned, from its bytes."""
        return np.frombuffer(content, dtype=self.dtype).reshape(-1, len(self.columns))

    @classmethod
    def read_weights(cls, folder: Path, name: str) -> bytes | None:
        """The file of the weights `name` in `folder`; None if it is missing or invalid."""
        raise NotImplementedError

    @classmethod
    def fetch_weights(cls, names: Sequence[str]) -> dict[str, bytes]:
        """Download weights; raises `GenreError` if that fails."""
        raise NotImplementedError

    @classmethod
    def credits(cls, settings: Mapping[str, Any]) -> list[str]:
        """The paragraphs of the model card about the pretrained network."""
        del settings
        return []


@dataclass(frozen=True)
class Family:
    """A row of the table.

    `reads`: the `clip` that trim cut, or the `song` itself, resampled once to the extractor's rate.
    `section` of `params.yaml` is given to the extractor; values depend on its `fields`. Raise
    `version` if the code changes values; `shares` names families whose code it uses. `automatic`:
    part of `features.families: auto` for real songs.
    """

    name: str
    description: str
    extractor: str  # module:class
    libraries: tuple[str, ...]
    version: int = 1
    shares: tuple[str, ...] = ()
    reads: Literal["clip", "song"] = "clip"
    section: str = "features"
    fields: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()  # modules that a worker needs, imported before it is started
    pretrained: bool = False
    tags: bool = False
    automatic: bool = False

    @property
    def module(self) -> str:
        """The name of the module of its extractor."""
        return self.extractor.partition(":")[0]

    @property
    def extractor_class(self) -> type[Extractor]:
        """The class of its extractor, imported on use."""
        found: type[Extractor] = resolve_name(self.extractor)
        return found

    def open(self, settings: Section, pretrained: Path | None = None) -> Extractor:
        """Its extractor with the settings of `section`."""
        return self.extractor_class(settings, pretrained)

    def code(self) -> dict[str, int]:
        """The versions of the code that its values depend on."""
        families = {name: FAMILIES[name].version for name in (*self.shares, self.name)}
        return {"audio": VERSIONS["audio"], **families}

    def cache_key(self, settings: Section, position: str) -> str:
        """What its values depend on besides the song (see `genre.core.cache`)."""
        values = settings.model_dump(include=set(self.fields))
        if self.reads == "song":
            values["position"] = position
        return cache_key(values, self.code(), self.libraries)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "report",
            "57 librosa features of each 3 s segment",
            extractor="genre.features.report.family:Report",
            libraries=("librosa", "numba", "numpy", "scipy", "soundfile"),
            fields=("n_fft", "hop_length"),
            preload=tuple(
                f"genre.features.report.{name}"
                for name in (
                    "harmonic",
                    "pitch",
                    "rhythm",
                    "shape",
                    "spectrum",
                    "temporal",
                    "timbre",
                )
            ),
        ),
        Family(
            "extended",
            "further librosa features of each 3 s segment",
            extractor="genre.features.extended.family:Extended",
            libraries=("numba", "numpy", "scipy", "soundfile"),
            shares=("report",),
            fields=("n_fft", "hop_length"),
            preload=(
                "genre.features.extended.change",
                "genre.features.extended.contrast",
                "genre.features.extended.harmony",
                "genre.features.extended.level",
                "genre.features.extended.onsets",
                "genre.features.report.analysis",
                "genre.features.report.pitch",
                "genre.features.report.temporal",
            ),
            automatic=True,
        ),
        Family(
            "musicnn",
            "features of MusiCNN, a network pretrained to tag music",
            extractor="genre.features.musicnn.family:Musicnn",
            libraries=("soundfile", "av", "soxr", "librosa", "scipy", "numpy", "torch"),
            reads="song",
            section="musicnn",
            fields=("weights", "patch_frames", "hop_frames"),
            preload=(
                "torch",
                "librosa.filters",
                "soundfile",
                "soxr",
                "genre.features.musicnn.front_end",
            ),
            pretrained=True,
            tags=True,
            automatic=True,
        ),
    )
}
REPORT = "report"


def check(names: Iterable[str]) -> list[str]:
    """`names`, each a family; raises `ParameterError` for one that is not."""
    found = list(names)
    for name in found:
        if name not in FAMILIES:
            near = difflib.get_close_matches(str(name), FAMILIES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ParameterError(
                f"params.yaml: features.families: found {name!r}, expected auto, or a list of "
                f"{', '.join(FAMILIES)}{hint}"
            )
    return found


def compute_song(
    source: Path | bytes,
    content: str,
    *,
    family: str,
    settings: Section,
    position: str,
    pretrained: Path,
) -> bytes:
    """What `Extractor.compute` returns for the clip or song whose sha256 is `content`, as bytes.

    `position` is that of the 30 s in a song. Raises `AudioError` if the file has changed or cannot
    be read, `InputError` if the weights in the folder `pretrained` are missing or damaged.
    """
    row = FAMILIES[family]
    extractor = row.open(settings, pretrained)
    if row.reads == "clip":
        y = read_clip(source, content)
    else:
        verify(source, content)
        length = CLIP_SECONDS * extractor.sample_rate
        y = resample(*part_of_song(source, position), extractor.sample_rate)[:length]
        y = np.pad(y, (0, length - len(y)))
    return extractor.compute(y).astype(extractor.dtype).tobytes()
