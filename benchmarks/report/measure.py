"""Train every model under every protocol on one collection.

The steps before the split run in a project below `.cache`, so that a second run is quick. Models
are fitted to `train`, with early stopping on `validation`, and scored on all subsets. No model is
selected.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from genre import evaluation, splits
from genre.collection.add_songs import add
from genre.core.files import write_parquet
from genre.core.params import Params, TrainParams
from genre.models import make_model
from genre.splits import groups
from tasks import features, ingest, spectrograms, split, trim
from tasks.io import inputs, paths

PREPARE = (ingest, trim, spectrograms, features)
SHORT = (ingest, trim, features)  # if no model is trained on spectrograms


@dataclass(frozen=True)
class Result:
    """The scores of a model under a protocol; `without`: genres that could not be split."""

    protocol: str
    model: str
    without: list[str]
    seconds: float
    scores: dict[str, Any]
    curves: list[dict[str, Any]]
    best_epoch: int | None


def prepare(root: Path, params: Params, source: str, steps: Sequence[ModuleType] = PREPARE) -> None:
    """Add the collection `source` to the project at `root` and run `steps`."""
    root.mkdir(parents=True, exist_ok=True)
    add(source, root=root)
    for step in steps:
        print(f"{step.__name__.rpartition('.')[2]}: {step.run(params, root)}", flush=True)


def measure(root: Path, params: Params, models: Sequence[str]) -> Iterator[Result]:
    """Yield the result of each model under each protocol.

    If `artist` excludes some genres, `song` is also measured without them, for comparison.
    """
    catalogue = pd.read_parquet(root / paths.CATALOGUE)
    few = few_artists(catalogue)
    rounds: list[tuple[str, list[str]]] = [("segment", []), ("song", [])]
    if len(set(catalogue["genre"]) - set(few)) > 1:
        rounds += [("song", few), ("artist", few)] if few else [("artist", [])]
    for protocol, without in rounds:
        split_into(root, params, protocol, without)
        for name in models:
            yield one(root, params, protocol, name, without)


def few_artists(songs: pd.DataFrame) -> list[str]:
    """Return the genres with too few artists to keep artists together."""
    number = groups.artist_groups(groups.grouping_table(songs[songs["status"] == "ok"]))
    return sorted(str(genre) for genre in number[number < groups.MIN_ARTISTS].index)


def split_into(root: Path, params: Params, protocol: str, without: Sequence[str]) -> None:
    """Split the songs at `root`; those of the genres `without` are excluded."""
    settings = params.split.model_copy(update={"protocol": protocol})
    catalogue = root / paths.CATALOGUE
    whole = pd.read_parquet(catalogue)
    left_out = whole["genre"].isin(without)
    (root / paths.SPLIT).unlink(missing_ok=True)
    try:
        write_parquet(catalogue, whole[~left_out])
        print(split.run(params.model_copy(update={"split": settings}), root), flush=True)
    finally:
        write_parquet(catalogue, whole)
    table = pd.read_parquet(root / paths.SPLIT)
    tracks = whole.loc[left_out & (whole["status"] == "ok"), "track_id"]
    rest = pd.DataFrame({"track_id": tracks, "group": tracks, "subset": splits.EXCLUDED})
    every = pd.concat([table, rest], ignore_index=True)
    every.attrs = table.attrs
    write_parquet(root / paths.SPLIT, every)


def one(root: Path, params: Params, protocol: str, name: str, without: Sequence[str]) -> Result:
    """Fit and score one model under the split at `root`."""
    model = make_model(name, for_protocol(params.train, protocol))
    data = inputs.read_data(root, model.input, params)
    start = time.monotonic()
    history = model.fit(
        data.training_examples(data.mask(splits.TRAIN)),
        data.training_examples(data.mask(splits.VALIDATION)),
        seed=params.train.seed,
    )
    seconds = time.monotonic() - start
    table = data.predict(model, np.ones(len(data.keys), dtype=np.bool_))
    settings = params.evaluate
    scores = evaluation.evaluate(table, samples=settings.bootstrap_samples, seed=settings.seed)
    found = Result(
        protocol=protocol,
        model=name,
        without=list(without),
        seconds=round(seconds, 1),
        scores=scores,
        curves=[asdict(epoch) for epoch in history.rows] if history else [],
        best_epoch=history.best_epoch if history else None,
    )
    validation = scores[splits.VALIDATION]["segment"]["accuracy"]
    print(
        f"{protocol} {name}: {validation:.3f} of validation segments, {seconds:.0f} s", flush=True
    )
    return found


def for_protocol(params: TrainParams, protocol: str) -> TrainParams:
    """Return the settings, with the same number of optimiser steps of the residual network.

    Under a leaky protocol its examples are segments, ten per clip, so it gets a tenth of the
    epochs.
    """
    if protocol not in splits.LEAKY:
        return params
    epochs = max(1, params.resnet.max_epochs // splits.SEGMENTS)
    resnet = params.resnet.model_copy(update={"max_epochs": epochs})
    return params.model_copy(update={"resnet": resnet})


def count(root: Path) -> dict[str, int]:
    """Count the usable songs of each genre."""
    songs = pd.read_parquet(root / paths.CATALOGUE)
    counts = songs.loc[songs["status"] == "ok", "genre"].value_counts()
    return {str(genre): int(counts[genre]) for genre in sorted(counts.index)}
