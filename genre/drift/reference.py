"""What a registered version keeps of its training songs, to compare new songs with.

A folder with two files. `reference.json` is a `Description`, and `reference.safetensors` holds two
float64 arrays: `columns` [shape=(rows, columns)], of each feature its values in the training songs,
one a song (the mean over the song's segments), each column sorted by itself, so that no song can be
read from it; and `confidence` [shape=(n,)], sorted, the highest probability of each validation and
test song. Of more than `MOST_SONGS` values that many are kept, evenly spaced by rank. The same
songs give the same bytes.
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
MOST_SONGS = 2_000
NO_REFERENCE = (
    "drift is not measured: {} keeps nothing of its training songs, for it was registered before "
    "that was done; the next registered version does"
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

    `columns` gives each feature's values, sorted; it is empty if the classifier's input is
    spectrograms alone. `confidence` are the sorted top probabilities of songs held out of
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
    """The reference of training songs: `features` has a row a song, a column a feature.

    `confidence` [shape=(n,)] are the top probabilities of songs held out of training.
    """
    columns = {
        str(name): thinned(features[name].to_numpy(dtype=np.float64)) for name in features.columns
    }
    return Reference(columns, thinned(confidence), dict(sorted(genres.items())), position)


def thinned(values: Floats) -> Floats:
    """`values` [shape=(n,)] sorted; of more than `MOST_SONGS`, that many, evenly by rank."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if len(ordered) <= MOST_SONGS:
        return ordered
    ranks = (np.arange(MOST_SONGS) + 0.5) * len(ordered) / MOST_SONGS
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
        known = Description.model_validate_json(path.read_bytes())
        path = folder / ARRAYS
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {again}") from error
    except ValidationError as error:
        first = error.errors()[0]
        found = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise InputError(
            f"{path}: not the reference of a version's training songs ({found}); {again}"
        ) from error
    if sha256_of(content) != known.sha256:
        raise InputError(f"{path}: damaged, or not what {DESCRIPTION} belongs to; {again}")
    arrays = decode(content)
    shapes = {name: array.shape for name, array in arrays.items()}
    expected = {"columns": (known.rows, len(known.columns)), "confidence": (known.held_out,)}
    if shapes != expected:
        raise InputError(f"{path}: found arrays {shapes}, expected {expected}; {again}")
    columns = {name: arrays["columns"][:, at].copy() for at, name in enumerate(known.columns)}
    return Reference(columns, arrays["confidence"], known.genres, known.position)
