"""The facts behind a promotion: what the champion says about today's validation songs.

The champion answers from today's feature rows with its own weights; the challenger's answers are
those that evaluate wrote. Songs that the champion was trained on are left out: by content, and by
decoded audio, so that a song which came back in another container counts too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np

from genre import evaluation
from genre.classifier import INPUT, Frames
from genre.errors import InputError
from genre.features import NAMES
from genre.models import load_model
from genre.models.base import Model
from genre.promotion import Champion
from genre.registry.facts import Pipeline
from genre.registry.package import MODEL, TRAINING_SONGS
from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

VALIDATION = "validation"


def question(store: Store, version: ModelVersion, pipeline: Pipeline) -> Champion:
    """Let the champion `version` answer today's validation songs, and score both models.

    What stands in the way of a comparison is told in `obstacle`; a store that fails raises.
    """
    number = str(version.version)
    with TemporaryDirectory() as name:
        folder = fetch(store, version, Path(name))
        if folder is None:
            return Champion(number, (), obstacle="its files are gone")
        try:
            model = load_model(folder / MODEL)
        except InputError as error:
            return Champion(number, (), obstacle=f"it cannot be loaded ({error})")
        heard = json.loads((folder / TRAINING_SONGS).read_bytes())
        obstacle = _obstacle(model, Frames.read(folder / MODEL), pipeline)
    if obstacle or set(pipeline.answers["genre"]) - set(model.classes):
        return Champion(number, model.classes, obstacle=obstacle)
    songs = unheard_songs(pipeline, heard)
    if not songs:
        obstacle = "it was trained on every validation song of today"
        return Champion(number, model.classes, obstacle=obstacle)
    return Champion(number, model.classes, comparison=score(pipeline, model, songs))


def fetch(store: Store, version: ModelVersion, target: Path) -> Path | None:
    """Copy the artifacts of a version's model to `target`; null where a local store lost them."""
    from mlflow.artifacts import download_artifacts

    source = store.client.get_model_version_download_uri(version.name, version.version)
    place = urlsplit(source)
    if place.scheme in ("", "file") and not Path(url2pathname(place.path)).is_dir():
        return None
    uri = f"{source.rstrip('/')}/artifacts"
    return Path(download_artifacts(uri, dst_path=str(target), tracking_uri=store.uri))


def unheard_songs(pipeline: Pipeline, heard: dict[str, list[str]]) -> list[str]:
    """Today's validation songs, sorted, without those of `heard` (see `facts.training_songs`)."""
    subsets, songs = pipeline.subsets, pipeline.songs
    today = set(subsets.loc[subsets["subset"] == VALIDATION, "track_id"])
    rows = songs[songs["track_id"].isin(today)]
    known = rows["track_id"].isin(heard["track_id"]) | rows["audio_sha256"].isin(
        heard["audio_sha256"]
    )
    return sorted(rows.loc[~known, "track_id"])


def score(pipeline: Pipeline, champion: Model, songs: Sequence[str]) -> evaluation.Comparison:
    """Compare today's model with `champion` on the validation songs `songs`."""
    import pandas as pd

    answers = pipeline.answers
    ours = answers[(answers["subset"] == VALIDATION) & answers["track_id"].isin(songs)]
    features = pd.read_parquet(pipeline.features, filters=[("track_id", "in", list(songs))])
    features = features.drop(columns="genre")
    rows = ours.merge(features, on=["track_id", "segment"], validate="one_to_one")
    X = rows[list(champion.features)].to_numpy(dtype=np.float64)
    theirs = evaluation.make(rows, champion.predict_proba(X), champion.classes, champion.name)
    settings = pipeline.params.evaluate
    return evaluation.compare(ours, theirs, samples=settings.bootstrap_samples, seed=settings.seed)


def _obstacle(model: Model, frames: Frames | None, pipeline: Pipeline) -> str | None:
    """Why the model cannot answer from today's feature rows, if it cannot."""
    if model.input != INPUT:
        return f"it answers from {model.input}, not from the features of segments"
    if not set(model.features) <= set(NAMES):
        return "it was trained on other features"
    settings = pipeline.params.features
    today = Frames(settings.n_fft, settings.hop_length)
    if frames != today:
        was = asdict(frames) if frames else "unknown"
        return f"its features had other frames ({was}, today {asdict(today)})"
    return None
