"""The feature families of this run, and the baseline among its models.

The step `features` resolves `auto` and writes `data/families.json`, `{"families": ["extended",
"musicnn"]}`; later steps read it by `read_families`.
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
    """Return the families of `params.yaml`, or for `auto` those of `data/families.json`.

    Raises `InputError` if that file is missing or damaged.
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
    """Return the section of `params.yaml` with the settings of a family."""
    found: Section = getattr(params, family.section)
    return found


def try_weights_again(params: Params, root: Path) -> None:
    """Make DVC run the step `features` again if `auto` fell back for lack of pretrained weights.

    No dependency of the step has changed, so one of its outputs is removed.
    """
    path = root / paths.FAMILIES
    auto = params.features.families == AUTO and path.is_file()
    with suppress(InputError):  # a damaged file, which DVC makes again
        if auto and tuple(read_families(params, root)) == WITHOUT_WEIGHTS:
            path.unlink()


def is_trained(name: str, params: Params, root: Path) -> bool:
    """Whether the model `name` of `train.models` is trained in this run.

    The baseline is not if `report` is the only family: `mlp` is then the same model.
    """
    return name != BASELINE or tuple(read_families(params, root)) != DEMO


def baseline(params: Params, root: Path) -> str | None:
    """The name of the model that is the report's MLP on its 57 columns, or None."""
    name = BASELINE if is_trained(BASELINE, params, root) else "mlp"
    return name if name in params.train.models else None
