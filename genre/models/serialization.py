"""A trained model as a folder that runs no code when it is loaded.

`weights.safetensors` holds the fitted arrays, scaling included; `model.json` holds format, name,
classes, features, settings and seed; `history.csv` holds the training curves of a network. The same
model gives the same bytes. The folder is replaced atomically.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from genre.core.errors import InputError
from genre.core.files import atomic_folder, sha256_of, write_bytes, write_json, write_text

if TYPE_CHECKING:
    from genre.models.base import Model


DESCRIPTION = "model.json"
WEIGHTS = "weights.safetensors"
CURVES = "history.csv"
FORMAT: Literal[1] = 1
MAX_BYTES, MAX_BYTES_OF_WEIGHTS = 16 * 2**20, 2**30  # of a file that is read into memory

AnyModel = TypeVar("AnyModel", bound="Model")


def _not_relative(name: str) -> str:
    if name in (".", ".."):
        raise ValueError("is not a name")
    return name


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("has duplicates")
    return names


# Genres and members of an ensemble are names of folders.
PlainName = Annotated[
    str, Field(min_length=1, pattern=r"^[^/\x00]+$"), AfterValidator(_not_relative)
]
Classes = Annotated[list[PlainName], Field(min_length=2), AfterValidator(_distinct)]


class Description(BaseModel):
    """The content of `model.json`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1]
    name: str
    input: str
    classes: Classes
    features: list[str]
    settings: dict[str, Any]
    seed: int
    best_epoch: int | None
    weights_sha256: str


class Reader:
    """The arrays of a file; each must be taken once, by name, type and shape."""

    def __init__(self, path: Path, arrays: dict[str, npt.NDArray[Any]], prefix: str = "") -> None:
        self.path, self._arrays, self._prefix = path, arrays, prefix

    def take(
        self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]
    ) -> npt.NDArray[Any]:
        """The array `name`; `None` in `shape` stands for any length.

        Raises `InputError` if it is missing, of another type or shape, or not finite.
        """
        name = self._prefix + name
        if name not in self._arrays:
            raise InputError(f"{self.path}: the array {name} is missing; train the model again")
        array = self._arrays.pop(name)
        fits = array.ndim == len(shape) and all(
            expected in (None, found) for found, expected in zip(array.shape, shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            expected = ", ".join("any" if size is None else str(size) for size in shape)
            raise InputError(
                f"{self.path}: {name} is {array.dtype} {array.shape}, expected "
                f"{np.dtype(dtype)} ({expected}); train the model again"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{self.path}: {name} has values that are not finite")
        return array

    def below(self, prefix: str) -> Reader:
        """A reader of the arrays whose names start with `prefix` and a dot."""
        return Reader(self.path, self._arrays, f"{self._prefix}{prefix}.")

    def error(self, message: str) -> InputError:
        """The error for arrays that do not fit together."""
        return InputError(f"{self.path}: {message}; train the model again")

    def finish(self) -> None:
        """Raise `InputError` if there are arrays that were not taken."""
        if self._arrays:
            raise InputError(f"{self.path}: unknown arrays {', '.join(sorted(self._arrays)[:5])}")


def save(model: Model, folder: Path, beside: Mapping[str, Callable[[Path], None]]) -> None:
    """Save `model` and the files `beside` it to `folder`, replacing it atomically."""
    from safetensors.numpy import save as encode

    arrays = {name: np.asarray(array, order="C") for name, array in model.arrays().items()}
    weights = encode(arrays)
    description = Description(
        format=FORMAT,
        name=model.name,
        input=model.input,
        classes=list(model.classes),
        features=list(model.features),
        settings=model.settings.model_dump(mode="json"),
        seed=model.seed,
        best_epoch=model.history.best_epoch if model.history else None,
        weights_sha256=sha256_of(weights),
    )
    with atomic_folder(folder) as new:
        write_bytes(new / WEIGHTS, weights)
        write_json(new / DESCRIPTION, description.model_dump())
        if model.history:
            write_text(new / CURVES, model.history.csv())
        for name, write in beside.items():
            write(new / name)


def load(model_class: type[AnyModel], folder: Path) -> AnyModel:
    """Load the model in `folder`, an instance of `model_class`; every array is checked."""
    description = read_description(folder)
    path = folder / DESCRIPTION
    if (description.name, description.input) != (model_class.name, model_class.input):
        raise InputError(
            f"{path}: found the model {description.name} on {description.input}, expected "
            f"{model_class.name} on {model_class.input}"
        )
    try:
        settings = model_class.settings_type.model_validate(description.settings)
    except ValidationError as error:
        raise InputError(f"{path}: settings: {_first(error)}; train the model again") from error
    model = model_class(settings)
    model.classes, model.features = tuple(description.classes), tuple(description.features)
    model.seed = description.seed
    reader = Reader(folder / WEIGHTS, _read_weights(folder, description.weights_sha256))
    model.restore(reader)
    reader.finish()
    return model


def read_description(folder: Path) -> Description:
    """Read `model.json` in `folder`; raises `InputError` if it is missing or invalid."""
    path = folder / DESCRIPTION
    try:
        content = json.loads(read_file(path, MAX_BYTES))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no trained model here ({DESCRIPTION} is missing)") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise InputError(
            f"{path}: format {content.get('format')!r}, expected {FORMAT}; train the model again"
        )
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: not the description of a model: {_first(error)}") from error


def read_file(path: Path, max_bytes: int) -> bytes:
    """The content of `path`.

    Raises `InputError` if it is not a file or has more than `max_bytes`, `OSError` if it cannot be
    read.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > max_bytes:
        raise InputError(f"{path}: expected a file of at most {max_bytes} bytes")
    with path.open("rb") as file:
        return file.read(max_bytes)


def _read_weights(folder: Path, sha256: str) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    path = folder / WEIGHTS
    try:
        content = read_file(path, MAX_BYTES_OF_WEIGHTS)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if sha256_of(content) != sha256:
        raise InputError(
            f"{path}: damaged, or not the weights that {DESCRIPTION} belongs to; train again"
        )
    try:
        return dict(decode(content))
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
