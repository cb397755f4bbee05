"""Parameters of running: registry, workers, schedules, drift alerts, services."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genre.core.params.section import Count, Positive, Section, Share


class RegisterParams(Section):
    """The name in the registry, and the gate for a new champion."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")]
    policy: Literal["not_worse", "superior"]
    margin: Annotated[float, Field(gt=0, lt=1)]


class TrackingParams(Section):
    """The MLflow store."""

    uri: Annotated[str, Field(min_length=1)]
    experiment: Annotated[str, Field(min_length=1)]


class ComputeParams(Section):
    """The workers that process songs."""

    engine: Literal["local", "dask"]
    workers: Annotated[int, Field(ge=0)]
    address: str
    song_timeout_seconds: Positive


class StepParams(Section):
    """Overrides of `RetrainParams` for one step; None: no override."""

    retries: Annotated[int, Field(ge=0)] | None = None
    retry_delay_seconds: Annotated[float, Field(ge=0)] | None = None
    step_timeout_seconds: Positive | None = None


class ClassifyParams(Section):
    """The folder of songs and the table of predictions of `flows/classify.py`."""

    folder: Annotated[str, Field(min_length=1)]
    output: Annotated[str, Field(pattern=r"\.parquet$")]
    batch: Count
    cron: str


class DriftParams(Section):
    """Thresholds of the drift alerts, and whether an alert starts a retraining."""

    min_songs: Annotated[int, Field(ge=2)]
    significance: Annotated[float, Field(gt=0, lt=1)]
    psi: Positive
    columns: Annotated[float, Field(gt=0, le=1)]
    low_confidence: Share
    low_confidence_share: Annotated[float, Field(gt=0, le=1)]
    unknown_genres: Annotated[float, Field(gt=0, le=1)]
    retrain: bool


class RetrainParams(Section):
    """Schedule, retries and time-outs of the retraining flow."""

    cron: str
    timezone: str
    inbox: Annotated[str, Field(min_length=1)]
    retries: Annotated[int, Field(ge=0)]
    retry_delay_seconds: Annotated[float, Field(ge=0)]
    step_timeout_seconds: Positive
    steps: dict[str, StepParams]


class ServicesParams(Section):
    """Ports of `make up` on 127.0.0.1, and the size of its logs."""

    prefect_port: Annotated[int, Field(ge=1, le=65535)]
    mlflow_port: Annotated[int, Field(ge=1, le=65535)]
    log_bytes: Count
