"""The sections about running: the registry, who shares the work, schedules and services."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genre.core.params.section import Count, Positive, Section, Share


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


class DriftParams(Section):
    """When new songs count as unlike the champion's training songs, and whether to retrain then."""

    min_songs: Annotated[int, Field(ge=2)]
    significance: Annotated[float, Field(gt=0, lt=1)]
    psi: Positive
    columns: Annotated[float, Field(gt=0, le=1)]
    low_confidence: Share
    low_confidence_share: Annotated[float, Field(gt=0, le=1)]
    unknown_genres: Annotated[float, Field(gt=0, le=1)]
    retrain: bool


class RetrainParams(Section):
    """When Prefect retrains, and how often it tries."""

    cron: str
    timezone: str
    inbox: Annotated[str, Field(min_length=1)]
    retries: Annotated[int, Field(ge=0)]
    retry_delay_seconds: Annotated[float, Field(ge=0)]
    step_timeout_seconds: Positive
    steps: dict[str, StepParams]


class ServicesParams(Section):
    """The addresses of `make up`, on 127.0.0.1, and how long its logs get."""

    prefect_port: Annotated[int, Field(ge=1, le=65535)]
    mlflow_port: Annotated[int, Field(ge=1, le=65535)]
    log_bytes: Count
