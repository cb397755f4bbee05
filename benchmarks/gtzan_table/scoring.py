"""Train, select and score on one split (`score_split`); average over splits (`mean`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gtzan_table.table import TAGS
from genre import evaluation
from genre.core.params import Params
from genre.core.workers import core_count
from genre.evaluation import Candidate
from genre.evaluation.selection import fit_voting
from genre.features.report import NAMES
from genre.models import family, make_model
from genre.models.data import FeatureData, Mask
from genre.models.folds import fold_numbers, predict_out_of_fold
from genre.soft_voting import SoftVoting
from genre.splits import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 6
HELD_OUT = "held_out"
FAMILIES = {"report": NAMES, "musicnn": TAGS, "joined": (*NAMES, *TAGS)}

Scores = dict[str, Any]
Learners = Mapping[str, tuple[str, FeatureData]]


def learners(models: Sequence[str], data: FeatureData) -> Learners:
    """Return the models by name, each with its table.

    With tags in `data`, each model is there for each of `FAMILIES`.
    """
    if TAGS[0] not in data.X:
        return {model: (model, data) for model in models}
    tables = {
        name: FeatureData(data.keys, data.X[list(columns)]) for name, columns in FAMILIES.items()
    }
    return {f"{name} {model}": (model, table) for name, table in tables.items() for model in models}


def score_split(models: Sequence[str], data: FeatureData, params: Params) -> Scores:
    """Train, select and score on one split; see the package's docstring for the rows."""
    entered = learners(models, data)
    train, both = data.mask(TRAIN), data.mask(TRAIN, VALIDATION)
    out_of_fold = hold_out(entered, both, params)
    settings = {"samples": params.evaluate.bootstrap_samples, "seed": params.evaluate.seed}
    found = evaluation.candidates(out_of_fold, vote=params.select.vote, **settings)
    result = {one.name: {HELD_OUT: one.scores} for one in found}
    for subset, learned in ((VALIDATION, train), (TEST, both)):
        if data.mask(subset).any():
            judged = found if subset == TEST else refit(found, hold_out(entered, learned, params))
            scores = score(judged, entered, learned, data.mask(subset), params)
            for name in result:
                result[name][subset] = scores[name]
    selected = evaluation.select(found)
    return {
        "rows": {name: int(n) for name, n in data.keys["subset"].value_counts().items()},
        "selected": selected.name,
        "models": result,
        "calibration": calibration(out_of_fold, selected, params),
    }


def hold_out(entered: Learners, rows: Mask, params: Params) -> dict[str, pd.DataFrame]:
    """Return out-of-fold predictions of every model for `rows`."""
    train = params.train
    return {
        name: predict_out_of_fold(
            partial(make_model, model, train),
            data,
            rows,
            folds=train.folds,
            seed=train.seed,
            workers=core_count() if family(model).stops_early else 1,  # the network
        )
        for name, (model, data) in entered.items()
    }


def refit(found: Sequence[Candidate], out_of_fold: Mapping[str, pd.DataFrame]) -> list[Candidate]:
    """`found` with weights and temperatures from other out-of-fold predictions."""
    fitted = []
    for one in found:
        tables = [out_of_fold[name] for name in one.members]
        parts = [evaluation.probabilities(table) for table in tables]
        voting = fit_voting(parts, evaluation.truth(tables[0]))
        table = evaluation.vote(tables, voting, name=one.name, temperature=1.0)
        songs = evaluation.by_song(table)
        proba, truth = evaluation.probabilities(songs), evaluation.truth(songs)
        temperature = evaluation.fit_temperature(proba, truth)
        fitted.append(replace(one, voting=voting, temperature=temperature))
    return fitted


def score(
    found: Sequence[Candidate], entered: Learners, learned: Mask, rows: Mask, params: Params
) -> dict[str, Scores]:
    """Train every model on the rows `learned`; return the scores of each candidate on `rows`."""
    settings = params.evaluate
    tables = {
        name: predict(model, data, learned, rows, params) for name, (model, data) in entered.items()
    }
    scores = {}
    for one in found:
        members = [tables[name] for name in one.members]
        table = evaluation.vote(members, one.voting, name=one.name, temperature=one.temperature)
        songs = evaluation.by_song(table)
        scores[one.name] = evaluation.measure(
            songs, samples=settings.bootstrap_samples, seed=settings.seed
        )
    return scores


def predict(
    name: str, data: FeatureData, learned: Mask, rows: Mask, params: Params
) -> pd.DataFrame:
    """Predictions for `rows` by a model trained on `learned`, one fold of it for early stopping."""
    settings = params.train
    model = make_model(name, settings)
    stopping = np.zeros_like(learned)
    if model.stops_early:
        folds = fold_numbers(data.training_examples(learned), settings.folds, settings.seed)
        stopping[learned] = folds == 0
    model.fit(
        data.training_examples(learned & ~stopping),
        data.training_examples(stopping),
        seed=settings.seed,
    )
    return data.predict(model, rows)


def calibration(out_of_fold: Mapping[str, pd.DataFrame], one: Candidate, params: Params) -> Scores:
    """The calibration error of held-out songs, before and after temperature scaling."""
    unscaled = SoftVoting((1.0,) * len(one.members), one.voting.weights)
    tables = [out_of_fold[name] for name in one.members]
    before = evaluation.vote(tables, unscaled, name=one.name, temperature=1.0)
    found = {}
    for when, segments in (("before", before), ("after", one.out_of_fold)):
        songs = evaluation.by_song(segments)
        errors = evaluation.reliability(
            evaluation.probabilities(songs),
            evaluation.truth(songs),
            samples=params.evaluate.bootstrap_samples,
            seed=params.evaluate.seed,
        )
        names = ("ece", "ece_debiased", "ece_chance")
        found[when] = {name: round(getattr(errors, name), DECIMALS) for name in names}
        found[when] |= {"consistent": bool(errors.consistent), "n": len(songs)}
    return found


def mean_of(splits: Sequence[Scores]) -> Scores:
    """Average common values over splits; also return each split with its seed (from 0)."""
    models = mean([one["models"] for one in splits])
    selected = max(
        models, key=lambda name: [models[name][HELD_OUT][key] for key in ("f1_macro", "accuracy")]
    )
    return {
        "selected": selected,
        "models": models,
        "seeds": [{"seed": seed, **one} for seed, one in enumerate(splits)],
    }


def mean(values: Sequence[Any]) -> Any:
    """Average numbers, or lists and dictionaries entry by entry; `n` is summed."""
    first = values[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in value for value in values)]
        found = {key: mean([value[key] for value in values]) for key in keys}
        return found | ({"n": sum(value["n"] for value in values)} if "n" in found else {})
    if isinstance(first, list):
        return [mean(entries) for entries in zip(*values, strict=True)]
    return round(float(np.mean(values)), DECIMALS)
