"""`params.yaml` through one typed schema.

`load_params` reads the whole file and checks every key, so that a typing error is named before
any step starts. Unknown keys, wrong types and impossible values raise `ParameterError`.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from genre.errors import ParameterError

PARAMS_FILE = Path("params.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
ModelName = Literal["mlp", "cnn", "resnet", "lda", "svm", "boosting"]


class Section(BaseModel):
    """A section of `params.yaml`: no unknown key, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class IngestParams(Section):
    """Which songs of the collection are usable."""

    min_seconds: Positive
    max_seconds: Positive
    silence_dbfs: Annotated[float, Field(lt=0)]
    min_songs_per_genre: Annotated[int, Field(ge=3)]
    max_set_aside: Share


class DuplicateParams(Section):
    """Which songs are taken for the same recording."""

    min_seconds: Annotated[float, Field(ge=1)]
    max_bit_error: Annotated[float, Field(gt=0, le=0.4)]


class TrimParams(Section):
    """Which 30 s of a song are kept."""

    position: Literal["middle", "start"]
    export_segments: bool


class SpectrogramParams(Section):
    """How the spectrogram pictures are computed and drawn."""

    nperseg: Annotated[int, Field(ge=16)]
    noverlap: Annotated[int, Field(ge=0)]
    dynamic_range_db: Positive
    colour_map: str
    width: Annotated[int, Field(ge=32, le=4096)]
    height: Annotated[int, Field(ge=32, le=4096)]

    @model_validator(mode="after")
    def _overlap_is_shorter_than_the_window(self) -> SpectrogramParams:
        if self.noverlap >= self.nperseg:
            raise ValueError(
                f"noverlap is {self.noverlap}, expected less than nperseg ({self.nperseg})"
            )
        return self


class FrameParams(Section):
    """The frames of a short-time Fourier transform, in samples."""

    n_fft: Annotated[int, Field(ge=512, le=16384)]
    hop_length: Annotated[int, Field(ge=64)]

    @model_validator(mode="after")
    def _hop_is_shorter_than_the_window(self) -> Self:
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"hop_length is {self.hop_length}, expected at most n_fft ({self.n_fft})"
            )
        return self


class FeatureParams(FrameParams):
    """The frames of the 57 features."""

    csv: bool


class LogMelParams(FrameParams):
    """The frames of the log-mel spectrograms."""


class SplitParams(Section):
    """How songs are shared out to training, validation and test."""

    protocol: Literal["song", "artist", "predefined", "segment"]
    column: Annotated[str, Field(min_length=1)]
    train: Share
    validation: Share
    test: Share
    reseed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> SplitParams:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {total:g}, expected 1")
        if self.train == 0 or self.validation == 0:
            raise ValueError("train and validation must each be above 0")
        return self


class MlpParams(Section):
    """The report's multilayer perceptron."""

    hidden: Annotated[list[Count], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    batch_size: Annotated[int, Field(ge=2)]
    max_epochs: Count
    patience: Count


class LdaParams(Section):
    """Linear discriminant analysis on normalised features."""

    shrinkage: Literal["auto"] | Share


class SvmParams(Section):
    """Support vector machine with an RBF kernel, on normalised and whitened features."""

    C: Positive
    gamma: Positive
    whitening: Annotated[float, Field(gt=0, le=1)]
    folds: Annotated[int, Field(ge=2)]


class BoostingParams(Section):
    """Gradient boosting of small trees."""

    n_estimators: Count
    learning_rate: Positive
    max_depth: Annotated[int, Field(ge=1, le=16)]
    min_samples_leaf: Count
    subsample: Annotated[float, Field(gt=0, le=1)]
    max_features: Annotated[float, Field(gt=0, le=1)]


class CnnParams(Section):
    """The report's SimpleCNN."""

    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=2)]
    max_epochs: Count
    patience: Count


class ResnetParams(Section):
    """The small residual network."""

    width: Annotated[int, Field(ge=1, le=256)]
    blocks: Annotated[int, Field(ge=1, le=8)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    crop_frames: Annotated[int, Field(ge=32)]
    mask_frames: Annotated[int, Field(ge=0)]
    mask_bands: Annotated[int, Field(ge=0)]
    mixup: Annotated[float, Field(ge=0)]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=2)]
    max_epochs: Count


class TrainParams(Section):
    """Which models are trained, and how."""

    models: Annotated[list[ModelName], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2)]
    mlp: MlpParams
    lda: LdaParams
    svm: SvmParams
    boosting: BoostingParams
    cnn: CnnParams
    resnet: ResnetParams

    @model_validator(mode="after")
    def _models_are_different(self) -> TrainParams:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"models is {self.models}, expected each name once")
        return self


class SelectParams(Section):
    """How the classifier is chosen from what was trained."""

    vote: bool


class EvaluateParams(Section):
    """How sure the figures are, and which new songs are tried."""

    bootstrap_samples: Annotated[int, Field(ge=100)]
    new_songs: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)]


class ReviewParams(Section):
    """When a clip is listed as mostly noise, and how long the lists on the page are."""

    noise_flatness: Share
    steady_share: Share
    silent_share: Share
    clipped_share: Share
    faulty_share: Annotated[float, Field(gt=0, le=1)]
    rows_shown: Count


class RegisterParams(Section):
    """Where the model goes, and what it must show to become champion."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")]
    policy: Literal["not_worse", "superior"]
    margin: Annotated[float, Field(gt=0, lt=1)]


class TrackingParams(Section):
    """The MLflow store."""

    uri: Annotated[str, Field(min_length=1)]
    experiment: Annotated[str, Field(min_length=1)]


class ComputeParams(Section):
    """Who shares the work on the songs."""

    engine: Literal["local", "dask"]
    workers: Annotated[int, Field(ge=0)]
    address: str
    song_timeout_seconds: Positive


class StepParams(Section):
    """What one step needs otherwise than the others; null where it needs the same."""

    retries: Annotated[int, Field(ge=0)] | None = None
    retry_delay_seconds: Annotated[float, Field(ge=0)] | None = None
    step_timeout_seconds: Positive | None = None


class ClassifyParams(Section):
    """Where `flows/classify.py` finds songs and keeps answers."""

    folder: Annotated[str, Field(min_length=1)]
    output: Annotated[str, Field(pattern=r"\.parquet$")]
    batch: Count
    cron: str


class RetrainParams(Section):
    """When Prefect retrains, and how often it tries."""

    cron: str
    timezone: str
    retries: Annotated[int, Field(ge=0)]
    retry_delay_seconds: Annotated[float, Field(ge=0)]
    step_timeout_seconds: Positive
    steps: dict[str, StepParams]


class ServicesParams(Section):
    """The addresses of `make up`, on 127.0.0.1."""

    prefect_port: Annotated[int, Field(ge=1, le=65535)]
    mlflow_port: Annotated[int, Field(ge=1, le=65535)]


class Params(Section):
    """The whole of `params.yaml`."""

    ingest: IngestParams
    duplicates: DuplicateParams
    trim: TrimParams
    spectrograms: SpectrogramParams
    log_mel: LogMelParams
    features: FeatureParams
    split: SplitParams
    train: TrainParams
    select: SelectParams
    evaluate: EvaluateParams
    review: ReviewParams
    register_: Annotated[RegisterParams, Field(alias="register")]
    tracking: TrackingParams
    compute: ComputeParams
    classify: ClassifyParams
    retrain: RetrainParams
    services: ServicesParams


def load_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check `params.yaml`.

    Raises `ParameterError` that names every key that is missing, unknown or wrong, what was
    found there and what was expected.
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


def _explain(problem: Any) -> str:
    """Say in one line what is wrong with one key."""
    location = [part for part in problem["loc"] if not isinstance(part, int)]
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
    """The keys that the section at `location` may hold."""
    section: type[BaseModel] = Params
    for part in location:
        for name, field in section.model_fields.items():
            if part in (name, field.alias):
                # A dictionary of sections: its keys are no fields, so the loop passes over them.
                inner = (get_args(field.annotation) or (field.annotation,))[-1]
                assert isinstance(inner, type)
                section = inner
    return [field.alias or name for name, field in section.model_fields.items()]
