"""The facts behind a promotion: the champion evaluated on today's validation songs.

The champion predicts from today's features and pictures with its own weights; if these are computed
in another way today, or no longer, it computes its own inputs from the clips, with its own
settings. The challenger's predictions are those that evaluate wrote. Songs that the champion was
trained on are left out: by content, and by decoded audio, so that a song which came back in another
container counts too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from genre import changes, evaluation
from genre.audio import SEGMENT_SECONDS
from genre.errors import AudioError, InputError
from genre.models.data import FeatureData
from genre.models.ensemble import Ensemble, families_of
from genre.progress import progress
from genre.promotion import Champion
from genre.registry import artifacts
from genre.registry.facts import Pipeline
from genre.registry.layout import MODEL, PACKED, TRAINING_SONGS
from genre.registry.store import Store
from genre.splits import VALIDATION

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

CHOICES = {"families", "layers"}  # of columns: which there are tells more


def question(store: Store, version: ModelVersion, pipeline: Pipeline) -> Champion:
    """Evaluate the champion `version` and today's classifier on today's validation songs.

    What makes a comparison impossible is in `obstacle`; a store that fails raises.
    """
    import pandas as pd

    number = str(version.version)
    source = artifacts.source_of(store, version)
    files = artifacts.checksums(artifacts.tags_of(store, version))
    with TemporaryDirectory() as name:
        if wrong := artifacts.bring(store, source, files, [f"{PACKED}/"], Path(name)):
            return Champion(number, (), obstacle=wrong, usable=False)
        folder = Path(name, PACKED)
        try:
            model = Ensemble.load(folder / MODEL)
        except InputError as error:
            obstacle = f"it cannot be loaded ({error})"
            return Champion(number, (), obstacle=obstacle, usable=False)
        trained = json.loads((folder / TRAINING_SONGS).read_bytes())
        then = pd.DataFrame(trained.get("genres", {}).items(), columns=["track_id", "genre"])
        renamed = changes.renamed(then, pipeline.songs[pipeline.songs["status"] == "ok"])
        families = families_of(model.front)
        champion = Champion(number, model.classes, renamed=renamed, families=families)
        for member in model.members:
            member.classes = tuple(renamed.get(genre, genre) for genre in member.classes)
        if set(pipeline.answers["genre"]) - set(model.classes):
            return champion
        songs = unseen_songs(pipeline, trained)
        if not songs:
            return replace(champion, obstacle="it was trained on every validation song of today")
        try:
            return replace(champion, comparison=score(pipeline, model, songs))
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


def score(pipeline: Pipeline, champion: Ensemble, songs: Sequence[str]) -> evaluation.Comparison:
    """Compare today's classifier with `champion` on the validation songs `songs`.

    Raises `InputError` if the champion cannot predict them.
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
        clip = pipeline.clips / f"{track}.flac"
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
