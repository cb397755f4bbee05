"""What a registered version keeps of its training songs, to compare new songs with.

A folder with two files. `reference.json` is a `Description`, and `reference.safetensors` holds two
float64 arrays: `columns` [shape=(rows, columns)], the values of each feature in the training songs,
one per song (the mean over its segments), each column sorted, so that no song can be reconstructed;
and `confidence` [shape=(n,)], sorted, the highest probability of each validation and test song. Of
more than `MAX_SONGS` values that many are kept, evenly spaced by rank. The same songs give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from genre.core.errors import InputError
from genre.core.files import sha256_of, write_bytes, write_json
from genre.core.messages import command

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION, ARRAYS = "reference.json", "reference.safetensors"
MAX_SONGS = 2_000
NO_REFERENCE = (
    "drift is not measured: {} has no drift reference, because an older version of this software "
    "registered it; the next registered version will have one"
)

Floats = npt.NDArray[np.float64]


class Description(BaseModel):
    """The content of `reference.json`; `genres` counts the training songs of each genre."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    position: Literal["middle", "start"]
    genres: dict[str, int]
    columns: list[str]
    rows: int
    held_out: int
    sha256: str  # of the arrays' file


@dataclass(frozen=True)
class Reference:
    """The training songs of a version.

    `columns` gives each feature's values, sorted; it is empty if the classifier's only inputs are
    spectrograms. `confidence` are the sorted top probabilities of songs held out of
    training, `genres` counts the training songs of each genre, and `position` (`trim.position`)
    says which 30 s of a song the features are from.
    """

    columns: Mapping[str, Floats]
    confidence: Floats
    genres: Mapping[str, int]
    position: Literal["middle", "start"]

    @property
    def songs(self) -> int:
        """The number of training songs."""
        return sum(self.genres.values())


def make(
    features: pd.DataFrame, genres: Mapping[str, int], confidence: Floats, position: Any
) -> Reference:
    """The reference of training songs: `features` has one row per song, one column per feature.

    `confidence` [shape=(n,)] are the top probabilities of songs held out of training.
    """
    columns = {
        str(name): thinned(features[name].to_numpy(dtype=np.float64)) for name in features.columns
    }
    return Reference(columns, thinned(confidence), dict(sorted(genres.items())), position)


def thinned(values: Floats) -> Floats:
    """`values` [shape=(n,)] sorted; of more than `MAX_SONGS`, that many, evenly by rank."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if len(ordered) <= MAX_SONGS:
        return ordered
    ranks = (np.arange(MAX_SONGS) + 0.5) * len(ordered) / MAX_SONGS
    return np.asarray(ordered[ranks.astype(np.int64)])


def save(reference: Reference, folder: Path) -> None:
    """Write `reference` to `folder`, which is created."""
    from safetensors.numpy import save as encode

    names = list(reference.columns)
    columns = np.zeros((len(reference.columns[names[0]]) if names else 0, len(names)))
    for number, name in enumerate(names):
        columns[:, number] = reference.columns[name]
    content = encode({"columns": columns, "confidence": np.ascontiguousarray(reference.confidence)})
    description = Description(
        format=1,
        position=reference.position,
        genres=dict(reference.genres),
        columns=names,
        rows=len(columns),
        held_out=len(reference.confidence),
        sha256=sha256_of(content),
    )
    write_bytes(folder / ARRAYS, content)
    write_json(folder / DESCRIPTION, description.model_dump())


def load(folder: Path) -> Reference:
    """The reference in `folder`; raises `InputError` if it is damaged or missing."""
    from safetensors.numpy import load as decode

    again = f"register the model again ({command('dvc repro --force --single-item register')})"
    path = folder / DESCRIPTION
    try:
        description = Description.model_validate_json(path.read_bytes())
        path = folder / ARRAYS
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {again}") from error
    except ValidationError as error:
        first = error.errors()[0]
        found = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise InputError(f"{path}: not a drift reference ({found}); {again}") from error
    if sha256_of(content) != description.sha256:
        raise InputError(f"{path}: damaged, or not the file that {DESCRIPTION} belongs to; {again}")
    arrays = decode(content)
    shapes = {name: array.shape for name, array in arrays.items()}
    expected = {
        "columns": (description.rows, len(description.columns)),
        "confidence": (description.held_out,),
    }
    if shapes != expected:
        raise InputError(f"{path}: found arrays {shapes}, expected {expected}; {again}")
    columns = {name: arrays["columns"][:, at].copy() for at, name in enumerate(description.columns)}
    return Reference(columns, arrays["confidence"], description.genres, description.position)
