"""Evaluate the champion on today's validation songs, for the promotion gate.

The champion predicts from today's features and pictures. If their settings have changed, or they
are no longer computed, its inputs are computed from the clips with its own preprocessing. The
challenger's predictions are those of the step evaluate. Songs that the champion was trained on are
left out, by file and by decoded audio, so that the same audio in another container is found too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from genre import evaluation
from genre.audio import SEGMENT_SECONDS
from genre.collection import catalogue_diff as changes
from genre.core.errors import AudioError, InputError
from genre.core.progress import progress
from genre.models.data import FeatureData
from genre.models.ensemble import Ensemble, families_of
from genre.registry.client import Store
from genre.registry.facts import Pipeline
from genre.registry.lookup import MODEL, PACKED, TRAINING_SONGS, verify
from genre.registry.promotion import Champion
from genre.splits import VALIDATION

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

CHOICES = {"families", "layers"}  # select columns, which are compared themselves


def evaluate_champion(store: Store, version: ModelVersion, pipeline: Pipeline) -> Champion:
    """Evaluate the champion `version` and today's classifier on today's validation songs.

    If they cannot be compared, `obstacle` is the reason. Raises if the store fails.
    """
    import pandas as pd

    number = str(version.version)
    with TemporaryDirectory() as name:
        if problem := verify(store, version, Path(name)):
            return Champion(number, (), obstacle=problem, usable=False)
        folder = Path(name, PACKED)
        try:
            model = Ensemble.load(folder / MODEL)
        except InputError as error:
            obstacle = f"it cannot be loaded ({error})"
            return Champion(number, (), obstacle=obstacle, usable=False)
        trained = json.loads((folder / TRAINING_SONGS).read_bytes())
        then = pd.DataFrame(trained.get("genres", {}).items(), columns=["track_id", "genre"])
        renamed = changes.renamed(then, pipeline.songs[pipeline.songs["status"] == "ok"])
        families = families_of(model.preprocessing)
        champion = Champion(number, model.classes, renamed=renamed, families=families)
        for member in model.members:
            member.classes = tuple(renamed.get(genre, genre) for genre in member.classes)
        if set(pipeline.predicted["genre"]) - set(model.classes):
            return champion
        songs = unseen_songs(pipeline, trained)
        if not songs:
            return replace(champion, obstacle="it was trained on every validation song of today")
        try:
            return replace(champion, comparison=compare(pipeline, model, songs))
        except InputError as error:
            return replace(champion, obstacle=f"it cannot predict them ({error})")


def unseen_songs(pipeline: Pipeline, trained: Mapping[str, Collection[str]]) -> list[str]:
    """Today's validation songs, sorted, without those of `trained` (`facts.training_songs`)."""
    subsets, songs = pipeline.subsets, pipeline.songs
    today = set(subsets.loc[subsets["subset"] == VALIDATION, "track_id"])
    rows = songs[songs["track_id"].isin(today)]
    seen = rows["track_id"].isin(trained["track_id"]) | rows["audio_sha256"].isin(
        trained["audio_sha256"]
    )
    return sorted(rows.loc[~seen, "track_id"])


def compare(pipeline: Pipeline, champion: Ensemble, songs: Sequence[str]) -> evaluation.Comparison:
    """Compare today's classifier with `champion` on the validation songs `songs`.

    Raises `InputError` if the champion cannot predict them.
    """
    predicted = pipeline.predicted
    ours = predicted[(predicted["subset"] == VALIDATION) & predicted["track_id"].isin(songs)]
    if _has_inputs(champion, pipeline):
        theirs = from_tables(pipeline, champion, songs)
    else:
        theirs = from_clips(pipeline, champion, ours)
    settings = pipeline.params.evaluate
    return evaluation.compare(ours, theirs, samples=settings.bootstrap_samples, seed=settings.seed)


def from_tables(pipeline: Pipeline, champion: Ensemble, songs: Sequence[str]) -> pd.DataFrame:
    """The champion's predictions for `songs` from today's features and pictures."""
    tables = []
    for member in champion.members:
        data = pipeline.data(member.input)
        rows = data.mask(VALIDATION) & np.asarray(data.keys["track_id"].isin(songs), dtype=np.bool_)
        tables.append(data.predict(member, rows))
    return evaluation.vote(
        tables, champion.voting, name=champion.name, temperature=champion.temperature
    )


def from_clips(pipeline: Pipeline, champion: Ensemble, rows: pd.DataFrame) -> pd.DataFrame:
    """The champion's predictions for the segments in `rows`, from the clips."""
    from genre.classifier import Classifier

    classifier = Classifier(champion)
    proba = np.empty((len(rows), len(champion.classes)))
    tracks = rows["track_id"].unique()
    for track in progress(tracks, total=len(tracks), what="songs predicted by the champion"):
        clip = pipeline.clips / f"{track}.flac"
        try:
            timeline = classifier.classify(clip, timeline=True).timeline or ()
        except AudioError as error:
            raise InputError(f"{clip}: {error}") from error
        segments = {round(one.start_s / SEGMENT_SECONDS): one.probabilities for one in timeline}
        for index in np.flatnonzero(rows["track_id"] == track):
            found = segments[int(rows["segment"].iloc[index])]
            proba[index] = [found[genre] for genre in champion.classes]
    return evaluation.make(rows, proba, champion.classes, champion.name, champion.temperature)


def _has_inputs(champion: Ensemble, pipeline: Pipeline) -> bool:
    """Whether today's features and pictures are those that the champion was trained on."""
    for member in champion.members:
        data = pipeline.data(member.input)
        if isinstance(data, FeatureData) and not set(member.features) <= set(data.X):
            return False
    for section, then in champion.preprocessing.items():
        today = getattr(pipeline.params, section).model_dump(mode="json", exclude=CHOICES)
        if any(today.get(key) != then[key] for key in then.keys() - CHOICES):
            return False
    return True
