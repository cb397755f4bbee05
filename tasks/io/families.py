"""The feature families of this run, and the baseline among its models.

`data/families.json` holds the families as `{"families": ["extended", "musicnn"]}`. The step
`features` writes it (it resolves `auto`); every later step reads it through `read_families`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from genre.core.errors import InputError, ParameterError
from genre.core.messages import run_step
from genre.core.params import AUTO, BASELINE, Params, Section
from genre.features.families import FAMILIES, REPORT, Family, check
from tasks.io import paths

# What `features.families: auto` means.
DEMO = (REPORT,)
REAL = tuple(family.name for family in FAMILIES.values() if family.automatic)
WITHOUT_WEIGHTS = tuple(name for name in REAL if not FAMILIES[name].pretrained)


class Chosen(BaseModel):
    """The content of `data/families.json`."""

    families: Annotated[list[str], Field(min_length=1)]


def read_families(params: Params, root: Path) -> list[str]:
    """The families of `params.yaml`, or those that the step `features` chose if it says `auto`.

    Raises `InputError` if that step has not run, or its file is damaged.
    """
    if params.features.families != AUTO:
        return check(params.features.families)
    path = root / paths.FAMILIES
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('features')}")
    try:
        return check(Chosen.model_validate_json(path.read_bytes()).families)
    except (ValidationError, ParameterError) as error:
        raise InputError(f"{path}: damaged; {run_step('features', 'again')}") from error


def section(params: Params, family: Family) -> Section:
    """The section of `params.yaml` that the extractor of a family is given."""
    found: Section = getattr(params, family.section)
    return found


def try_weights_again(params: Params, root: Path) -> None:
    """Let DVC run the step `features` again if `auto` had to do without pretrained weights.

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
    return name != BASELINE or tuple(read_families(params, root)) != DEMO


def baseline(params: Params, root: Path) -> str | None:
    """The trained model that is the report's MLP on its 57 columns; None if there is none."""
    name = BASELINE if is_trained(BASELINE, params, root) else "mlp"
    return name if name in params.train.models else None
