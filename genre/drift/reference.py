"""What a registered version keeps of the songs that it learned from, to compare new ones with.

A folder that runs no code when it is read: `reference.json` says what there is, and
`reference.safetensors` holds two arrays of float64. `columns` [shape=(rows, columns)]: of each
feature its values in the training songs, one a song (the mean over the song's segments), each
column sorted by itself, so that no single song can be read from it. `confidence` [shape=(n,)]: the
highest probability that the classifier gave each song which it had not learned from (validation
and test), sorted. Of more than `MOST_SONGS` values, as many are kept, evenly spaced by rank. The
same songs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genre.errors import InputError
from genre.files import write_bytes, write_json
from genre.hints import command

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION, ARRAYS = "reference.json", "reference.safetensors"
FORMAT: Literal[1] = 1
MOST_SONGS, MOST_COLUMNS = 2_000, 10_000  # of which values are kept
MOST_BYTES = 8 * 2**20  # of the description, and of what surrounds the arrays' values
NO_REFERENCE = (
    "drift is not measured: {} keeps nothing of its training songs, for it was registered before "
    "that was done; the next registered version does"
)

Floats = npt.NDArray[np.float64]
Counts = dict[str, Annotated[int, Field(ge=0)]]


class Description(BaseModel):
    """What `reference.json` holds; `genres` are the training songs of each."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1]
    position: Literal["middle", "start"]
    genres: Annotated[Counts, Field(min_length=1)]
    columns: Annotated[list[str], Field(max_length=MOST_COLUMNS)]
    rows: Annotated[int, Field(ge=0, le=MOST_SONGS)]
    held_out: Annotated[int, Field(ge=0, le=MOST_SONGS)]
    sha256: str


@dataclass(frozen=True)
class Reference:
    """The training songs of a version.

    `columns` gives each feature's values, sorted; it is empty where the classifier looks at
    pictures alone. `confidence` are the sorted top probabilities of songs that it had not heard;
    `position` is which 30 s of a song were looked at; `genres` counts the songs of each.
    """

    columns: Mapping[str, Floats]
    confidence: Floats
    genres: Mapping[str, int]
    position: Literal["middle", "start"]

    @property
    def songs(self) -> int:
        """How many songs the version learned from."""
        return sum(self.genres.values())


def make(
    features: pd.DataFrame, genres: Mapping[str, int], confidence: Floats, position: Any
) -> Reference:
    """The reference of training songs: `features` has a row a song, a column a feature.

    `confidence` [shape=(n,)] are the top probabilities of songs that were not learned from.
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
    """Write `reference` to `folder`, which is made."""
    from safetensors.numpy import save as encode

    names = list(reference.columns)
    rows = len(reference.columns[names[0]]) if names else 0
    columns = np.zeros((rows, len(names)))
    for number, name in enumerate(names):
        columns[:, number] = reference.columns[name]
    content = encode({"columns": columns, "confidence": np.ascontiguousarray(reference.confidence)})
    description = Description(
        format=FORMAT,
        position=reference.position,
        genres=dict(reference.genres),
        columns=names,
        rows=rows,
        held_out=len(reference.confidence),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    write_bytes(folder / ARRAYS, content)
    write_json(folder / DESCRIPTION, description.model_dump())


def load(folder: Path) -> Reference:
    """The reference in `folder`; raises `InputError` where it is damaged or is none."""
    found = _describe(folder / DESCRIPTION)
    path = folder / ARRAYS
    values = 8 * (found.rows * len(found.columns) + found.held_out)
    content = _read(path, values + MOST_BYTES)
    if hashlib.sha256(content).hexdigest() != found.sha256:
        raise InputError(f"{path}: damaged, or not what {DESCRIPTION} belongs to; {_again()}")
    arrays = _decode(path, content)
    columns = _checked(path, arrays, "columns", (found.rows, len(found.columns)))
    confidence = _checked(path, arrays, "confidence", (found.held_out,))
    if arrays:
        raise InputError(f"{path}: unknown arrays {', '.join(sorted(arrays)[:5])}; {_again()}")
    if len(set(found.columns)) < len(found.columns):
        raise InputError(f"{folder / DESCRIPTION}: names a column twice; {_again()}")
    if len(confidence) and not 0 <= confidence[0] <= confidence[-1] <= 1:
        raise InputError(f"{path}: confidence holds what is no probability; {_again()}")
    by_name = {name: columns[:, number].copy() for number, name in enumerate(found.columns)}
    return Reference(by_name, confidence, found.genres, found.position)


def _describe(path: Path) -> Description:
    content = _read(path, MOST_BYTES)
    try:
        return Description.model_validate(json.loads(content))
    except (ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        words = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise InputError(
            f"{path}: not the reference of a version's training songs ({words}); {_again()}"
        ) from error


def _read(path: Path, most: int) -> bytes:
    """The content of `path`; `InputError` where it cannot be read or has more than `most` bytes."""
    try:
        size = path.stat().st_size
        if size > most:
            raise InputError(f"{path}: has {size} bytes, expected at most {most}; {_again()}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_again()}") from error


def _decode(path: Path, content: bytes) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    try:
        return dict(decode(content))
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); {_again()}") from error


def _checked(
    path: Path, arrays: dict[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]
) -> Floats:
    """Take the array `name` out of `arrays`: float64, of this shape, finite and sorted."""
    if name not in arrays:
        raise InputError(f"{path}: the array {name} is missing; {_again()}")
    array = arrays.pop(name)
    if array.dtype != np.float64 or array.shape != shape:
        raise InputError(
            f"{path}: {name} is {array.dtype} {array.shape}, expected float64 {shape}; {_again()}"
        )
    if not np.isfinite(array).all() or (np.diff(array, axis=0) < 0).any():
        raise InputError(f"{path}: {name} is not sorted, or holds values not finite; {_again()}")
    return array


def _again() -> str:
    return f"register the model again ({command('dvc repro --force --single-item register')})"
