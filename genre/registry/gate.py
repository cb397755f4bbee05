"""The facts behind a promotion: what the champion says about today's validation songs.

The champion answers from today's features and pictures with its own weights; where these are made
otherwise today, or are no longer made, it listens to the clips itself, with its own settings. The
challenger's answers are those that evaluate wrote. Songs that the champion was trained on are left
out: by content, and by decoded audio, so that a song which came back in another container counts
too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from genre import evaluation
from genre.audio import SEGMENT_SECONDS
from genre.errors import AudioError, InputError
from genre.models.data import FeatureData
from genre.models.ensemble import Ensemble
from genre.progress import progress
from genre.promotion import Champion
from genre.registry import artifacts
from genre.registry.facts import Pipeline
from genre.registry.package import MODEL, TRAINING_SONGS
from genre.registry.store import Store
from genre.splits import VALIDATION

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

CHOICES = {"families", "layers"}  # of columns: which there are tells more
PACKED = "artifacts"  # MLflow's folder, in a model, of what we give it


def question(store: Store, version: ModelVersion, pipeline: Pipeline) -> Champion:
    """Let the champion `version` answer today's validation songs, and score both models.

    What stands in the way of a comparison is told in `obstacle`; a store that fails raises.
    """
    number = str(version.version)
    source = store.client.get_model_version_download_uri(version.name, version.version)
    noted = artifacts.read(version.tags.get(artifacts.FILES))
    with TemporaryDirectory() as name:
        if lost := artifacts.bring(store, source, noted, [f"{PACKED}/"], Path(name)):
            return Champion(number, (), obstacle=lost)
        folder = Path(name, PACKED)
        try:
            model = Ensemble.load(folder / MODEL)
        except InputError as error:
            return Champion(number, (), obstacle=f"it cannot be loaded ({error})")
        if set(pipeline.answers["genre"]) - set(model.classes):
            return Champion(number, model.classes)
        songs = unheard_songs(pipeline, json.loads((folder / TRAINING_SONGS).read_bytes()))
        if not songs:
            obstacle = "it was trained on every validation song of today"
            return Champion(number, model.classes, obstacle=obstacle)
        try:
            return Champion(number, model.classes, comparison=score(pipeline, model, songs))
        except InputError as error:
            return Champion(number, model.classes, obstacle=f"it cannot answer them ({error})")


def unheard_songs(pipeline: Pipeline, heard: dict[str, list[str]]) -> list[str]:
    """Today's validation songs, sorted, without those of `heard` (see `facts.training_songs`)."""
    subsets, songs = pipeline.subsets, pipeline.songs
    today = set(subsets.loc[subsets["subset"] == VALIDATION, "track_id"])
    rows = songs[songs["track_id"].isin(today)]
    known = rows["track_id"].isin(heard["track_id"]) | rows["audio_sha256"].isin(
        heard["audio_sha256"]
    )
    return sorted(rows.loc[~known, "track_id"])


def score(pipeline: Pipeline, champion: Ensemble, songs: Sequence[str]) -> evaluation.Comparison:
    """Compare today's classifier with `champion` on the validation songs `songs`.

    Raises `InputError` where the champion cannot answer them.
    """
    answers = pipeline.answers
    ours = answers[(answers["subset"] == VALIDATION) & answers["track_id"].isin(songs)]
    if _made_as_today(champion, pipeline):
        theirs = from_tables(pipeline, champion, songs)
    else:
        theirs = by_listening(pipeline, champion, ours)
    settings = pipeline.params.evaluate
    return evaluation.compare(ours, theirs, samples=settings.bootstrap_samples, seed=settings.seed)


def from_tables(pipeline: Pipeline, champion: Ensemble, songs: Sequence[str]) -> pd.DataFrame:
    """The champion's predictions for `songs` from today's features and pictures."""
    tables = []
    for member in champion.members:
        data = pipeline.data(member.input)
        rows = data.mask(VALIDATION) & np.asarray(data.keys["track_id"].isin(songs), dtype=np.bool_)
        tables.append(data.answer(member, rows))
    return evaluation.vote(
        tables, champion.mixture, name=champion.name, temperature=champion.temperature
    )


def by_listening(pipeline: Pipeline, champion: Ensemble, rows: pd.DataFrame) -> pd.DataFrame:
    """The champion's predictions for the segments in `rows`, from the clips themselves."""
    from genre.classifier import Classifier

    classifier = Classifier(champion)
    proba = np.empty((len(rows), len(champion.classes)))
    tracks = rows["track_id"].unique()
    for track in progress(tracks, total=len(tracks), what="songs asked of the champion"):
        clip = pipeline.clips / f"{track}.wav"
        try:
            answer = classifier.classify(clip, timeline=True)
        except AudioError as error:
            raise InputError(f"{clip}: {error}") from error
        heard = {
            round(moment.start_s / SEGMENT_SECONDS): moment for moment in answer.timeline or ()
        }
        for place in np.flatnonzero(rows["track_id"] == track):
            moment = heard[int(rows["segment"].iloc[place])]
            proba[place] = [moment.probabilities[genre] for genre in champion.classes]
    return evaluation.make(rows, proba, champion.classes, champion.name, champion.temperature)


def _made_as_today(champion: Ensemble, pipeline: Pipeline) -> bool:
    """Whether today's features and pictures are what the champion looks at."""
    for member in champion.members:
        data = pipeline.data(member.input)
        if isinstance(data, FeatureData) and not set(member.features) <= set(data.X):
            return False
    for section, was in champion.front.items():
        today = getattr(pipeline.params, section).model_dump(mode="json", exclude=CHOICES)
        if any(today.get(key) != was[key] for key in was.keys() - CHOICES):
            return False
    return True
