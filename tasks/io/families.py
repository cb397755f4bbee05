"""The feature families of this run, and the baseline among its models.

`data/families.json` holds the families as `{"families": ["extended", "musicnn"]}`. The step
`pretrained` writes it (it resolves `auto`); every later step reads it through `read_families`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from genre.core.errors import InputError
from genre.core.messages import run_step
from genre.core.params import AUTO, BASELINE, Family, Params
from genre.core.params.features import REPORT
from tasks.io import paths

# What `features.families: auto` means.
DEMO: tuple[Family, ...] = REPORT
REAL: tuple[Family, ...] = ("extended", "musicnn")
WITHOUT_WEIGHTS: tuple[Family, ...] = ("extended",)


class Chosen(BaseModel):
    """The content of `data/families.json`."""

    families: Annotated[list[Family], Field(min_length=1)]


def read_families(params: Params, root: Path) -> list[Family]:
    """The families of `params.yaml`, or those that the step `pretrained` chose if it says `auto`.

    Raises `InputError` if that step has not run, or its file is damaged.
    """
    if params.features.families != AUTO:
        return params.features.families
    path = root / paths.FAMILIES
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('pretrained')}")
    try:
        return Chosen.model_validate_json(path.read_bytes()).families
    except ValidationError as error:
        raise InputError(f"{path}: damaged; {run_step('pretrained', 'again')}") from error


def try_weights_again(params: Params, root: Path) -> None:
    """Let DVC run the step `pretrained` again if `auto` had to do without MusiCNN's weights.

    Nothing that DVC compares says that they can be fetched now; a missing output does.
    """
    path = root / paths.FAMILIES
    auto = params.features.families == AUTO and path.is_file()
    with suppress(InputError):  # of a damaged file, which DVC makes again anyway
        if auto and tuple(read_families(params, root)) == WITHOUT_WEIGHTS:
            path.unlink()


def is_trained(name: str, params: Params, root: Path) -> bool:
    """Whether the model `name` of `train.models` is trained with the families of this run.

    With `report` alone, `mlp` is the baseline's network on the baseline's columns, which is then
    not trained a second time.
    """
    return name != BASELINE or tuple(read_families(params, root)) != REPORT


def baseline(params: Params, root: Path) -> str | None:
    """The trained model that is the report's MLP on its 57 columns; None if there is none."""
    name = BASELINE if is_trained(BASELINE, params, root) else "mlp"
    return name if name in params.train.models else None
