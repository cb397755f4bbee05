"""The schema of `params.yaml`.

`load_params` validates the whole file, so that a typo is reported before any step starts: unknown
keys, wrong types and impossible values raise `ParameterError`.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, ValidationError

from genre.core.errors import InputError, ParameterError
from genre.core.messages import command
from genre.core.params.collection import (
    DuplicateParams,
    IngestParams,
    ReviewParams,
    SplitParams,
    TrimParams,
)
from genre.core.params.features import (
    AUTO,
    LIST,
    FeatureParams,
    FrameParams,
    Layer,
    LogMelParams,
    MusicnnParams,
    SpectrogramParams,
)
from genre.core.params.models import (
    BASELINE,
    PICTURES,
    BoostingParams,
    CnnParams,
    EvaluateParams,
    LdaParams,
    LogisticParams,
    MlpParams,
    PictureModel,
    ResnetParams,
    SelectParams,
    SvmParams,
    TableModel,
    TrainParams,
)
from genre.core.params.runtime import (
    ClassifyParams,
    ComputeParams,
    DriftParams,
    RegisterParams,
    RetrainParams,
    ServicesParams,
    StepParams,
    TrackingParams,
)
from genre.core.params.section import Section

__all__ = [
    "AUTO",
    "BASELINE",
    "PARAMS_FILE",
    "PICTURES",
    "BoostingParams",
    "ClassifyParams",
    "CnnParams",
    "ComputeParams",
    "DriftParams",
    "DuplicateParams",
    "EvaluateParams",
    "FeatureParams",
    "FrameParams",
    "IngestParams",
    "Layer",
    "LdaParams",
    "LogMelParams",
    "LogisticParams",
    "MlpParams",
    "MusicnnParams",
    "Params",
    "PictureModel",
    "RegisterParams",
    "ResnetParams",
    "RetrainParams",
    "ReviewParams",
    "Section",
    "SelectParams",
    "ServicesParams",
    "SpectrogramParams",
    "SplitParams",
    "StepParams",
    "SvmParams",
    "TableModel",
    "TrackingParams",
    "TrainParams",
    "TrimParams",
    "load_params",
]

PARAMS_FILE = Path("params.yaml")


class Params(Section):
    """The whole of `params.yaml`."""

    ingest: IngestParams
    duplicates: DuplicateParams
    trim: TrimParams
    spectrograms: SpectrogramParams
    log_mel: LogMelParams
    features: FeatureParams
    musicnn: MusicnnParams
    split: SplitParams
    train: TrainParams
    select: SelectParams
    evaluate: EvaluateParams
    review: ReviewParams
    register_: Annotated[RegisterParams, Field(alias="register")]
    tracking: TrackingParams
    compute: ComputeParams
    classify: ClassifyParams
    drift: DriftParams
    retrain: RetrainParams
    services: ServicesParams


def load_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check `params.yaml`.

    Raises `ParameterError` with every missing, unknown or wrong key, what was found and what was
    expected.
    """
    import yaml

    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            f"{path}: cannot be read ({error.strerror}); run from the project's folder"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: found {type(content).__name__}, expected named sections")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ParameterError("\n".join(f"{path}: {line}" for line in lines)) from error


def project_folder(root: Path) -> Path:
    """Return `root`; raises `InputError` if it has no `params.yaml`."""
    if not (root / PARAMS_FILE).is_file():
        raise InputError(
            f"{root.absolute()} is not the project's folder (no {PARAMS_FILE} in it); go there, or "
            f"name it: {command('genre --root FOLDER …')}"
        )
    return root


def _explain(problem: Any) -> str:
    """Describe one validation error in a line."""
    location = [part for part in problem["loc"] if not isinstance(part, int) and part != LIST]
    key = ".".join(str(part) for part in location)
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"unknown key {key}: expected one of {', '.join(known)}{hint}"
    if kind == "missing":
        return f"{key} is missing: add it"
    found = problem["input"]
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{key}: {message}"
    hint = ""
    if kind == "literal_error" and isinstance(found, str):
        near = difflib.get_close_matches(found, problem["ctx"]["expected"].split("'")[1::2], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
    return f"{key} is {found!r}: {message[:1].lower()}{message[1:]}{hint}"


def _known_keys(location: list[Any]) -> list[str]:
    """The keys of the section at `location`."""
    section: type[BaseModel] = Params
    for part in location:
        for name, field in section.model_fields.items():
            if part in (name, field.alias):
                # Of dict[str, Section]: the section; the dictionary's keys match no field.
                inner = (get_args(field.annotation) or (field.annotation,))[-1]
                assert isinstance(inner, type)
                section = inner
    return [field.alias or name for name, field in section.model_fields.items()]
