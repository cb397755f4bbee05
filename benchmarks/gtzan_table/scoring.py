"""Learn, choose and score: each function on one split, `together` over several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gtzan_table.families import Field, Learner
from benchmarks.gtzan_table.fusion import product, product_out_of_fold, weights_of
from benchmarks.gtzan_table.rows import Rows
from genre import evaluation
from genre.evaluation import Candidate
from genre.evaluation.voting import fit_mixture
from genre.models import family, make_model
from genre.models.data import FeatureData
from genre.models.folds import fold_numbers, predict_out_of_fold
from genre.models.mixing import Mixture
from genre.params import Params
from genre.progress import progress_bar
from genre.splits import TEST, TRAIN, VALIDATION
from genre.workers import core_count

if TYPE_CHECKING:
    import pandas as pd

    from genre.models.base import Model
    from genre.models.data import Mask

DECIMALS = 6

Scores = dict[str, Any]


def sit(rows: Rows, entered: Field, params: Params, *, repeats: int = 1) -> Scores:
    """Learn, choose and score on one split; the package says what learns from what.

    Folds are drawn `repeats` times, and scores out of fold are means over them.
    """
    data, test = rows.fitting, rows.test
    train, both = data.mask(TRAIN), data.mask(TRAIN, VALIDATION)
    held_out, found = choose_from(entered, data, both, params)
    draws = [{one.name: one.scores for one in found}]
    for seed in range(params.train.seed + 1, params.train.seed + repeats):
        others = params.train.model_copy(update={"seed": seed})
        _, again = choose_from(entered, data, both, params.model_copy(update={"train": others}))
        draws.append({one.name: one.scores for one in again})
    # The vote is no candidate where a draw leaves it one member.
    found = [one for one in found if all(one.name in draw for draw in draws)]
    if repeats > 1:
        found = [replace(one, scores=_mean([draw[one.name] for draw in draws])) for one in found]
        for one in found:
            one.scores["n"] //= repeats
    counts = {TRAIN: int(train.sum())}
    on_validation: dict[str, Scores] = {}
    if data.mask(VALIDATION).any():
        counts[VALIDATION] = int(data.mask(VALIDATION).sum())
        alone = hold_out_all(entered, data, train, params)
        answers = answer_all(entered, alone, data, train, data, VALIDATION, params)
        on_validation = score([learned_from(alone, one) for one in found], answers, params)
    result = {
        one.name: {
            "members": members(one),
            "temperature": one.temperature,
            "held_out": one.scores,
            **({VALIDATION: on_validation[one.name]} if on_validation else {}),
            "calibration": calibration(held_out, one, params),
        }
        for one in found
    }
    if test is not None:
        counts[TEST] = len(test.keys)
        answers = answer_all(entered, held_out, data, both, test, TEST, params)
        for name, scores in score(found, answers, params).items():
            result[name][TEST] = scores
    selected = evaluation.select(found).name
    return {
        "rows": counts,
        "selected": selected,
        "models": result,
        "calibration": result[selected]["calibration"],
    }


def choose_from(
    entered: Field, data: FeatureData, rows: Mask, params: Params
) -> tuple[dict[str, pd.DataFrame], list[Candidate]]:
    """Predictions out of fold by one draw of folds, and the candidates that come of them."""
    held_out = hold_out_all(entered, data, rows, params)
    settings = params.evaluate
    found = evaluation.candidates(
        held_out, vote=params.select.vote, samples=settings.bootstrap_samples, seed=settings.seed
    )
    return held_out, found


def hold_out_all(
    entered: Field, data: FeatureData, rows: Mask, params: Params
) -> dict[str, pd.DataFrame]:
    """Predictions out of fold of every learner and product."""
    tables = {
        name: hold_out(one.model, seen(data, one), rows, params)
        for name, one in entered.learners.items()
    }
    for name, parts in entered.products.items():
        of_parts = [tables[part] for part in parts]
        tables[name] = product_out_of_fold(of_parts, name, params.evaluate.seed)
    return tables


def answer_all(
    entered: Field,
    held_out: Mapping[str, pd.DataFrame],
    data: FeatureData,
    learned: Mask,
    asked: FeatureData,
    subset: str,
    params: Params,
) -> dict[str, pd.DataFrame]:
    """What every learner, fitted to the rows `learned`, and every product says of a subset.

    Products have weights that suit `held_out`, predictions out of fold of the same rows.
    """
    answers = {}
    for name, one in entered.learners.items():
        model = fit(one.model, seen(data, one), learned, params)
        answers[name] = seen(asked, one).answer(model, asked.mask(subset))
    for name, parts in entered.products.items():
        weights = weights_of([held_out[part] for part in parts])
        answers[name] = product([answers[part] for part in parts], weights, name)
    return answers


def seen(data: FeatureData, one: Learner) -> FeatureData:
    """`data` with the columns that this learner looks at."""
    return FeatureData(data.keys, data.X[list(one.columns)])


def members(one: Candidate) -> list[Scores]:
    """The weight and the temperature of each model in `one`, as learned from train + valid."""
    parts = zip(one.members, one.mixture.weights, one.mixture.temperatures, strict=True)
    return [{"name": name, "weight": w, "temperature": t} for name, w, t in parts]


def hold_out(name: str, data: FeatureData, rows: Mask, params: Params) -> pd.DataFrame:
    """Predictions of `rows` by models `name`, each learned from the other folds of `rows`."""
    settings = params.train
    with progress_bar(name) as progress:
        return predict_out_of_fold(
            partial(make_model, name, settings),
            data,
            rows,
            folds=settings.folds,
            seed=settings.seed,
            workers=(params.compute.workers or core_count()) if family(name).slow else 1,
            progress=progress,
        )


def fit(name: str, data: FeatureData, rows: Mask, params: Params) -> Model:
    """A model `name` learned from `rows`, but for one fold if it needs that to stop."""
    settings = params.train
    model = make_model(name, settings)
    stopping = np.zeros_like(rows)
    if model.stops_early:
        examples = data.learn(rows)
        stopping[rows] = fold_numbers(examples, settings.folds, settings.seed) == 0
    with progress_bar(name) as progress:
        model.fit(
            data.learn(rows & ~stopping),
            data.learn(stopping),
            seed=settings.seed,
            progress=progress,
        )
    return model


def learned_from(held_out: Mapping[str, pd.DataFrame], one: Candidate) -> Candidate:
    """`one` with weights and temperatures learned from these predictions out of fold."""
    tables = [held_out[name] for name in one.members]  # of the same rows
    answers = [evaluation.probabilities(table) for table in tables]
    mixture = fit_mixture(answers, evaluation.truth(tables[0]))
    songs = evaluation.by_song(evaluation.vote(tables, mixture, name=one.name, temperature=1.0))
    temperature = evaluation.fit_temperature(
        evaluation.probabilities(songs), evaluation.truth(songs)
    )
    return replace(one, mixture=mixture, temperature=temperature)


def score(
    found: Sequence[Candidate], answers: Mapping[str, pd.DataFrame], params: Params
) -> dict[str, Scores]:
    """The song-level scores of each candidate on the rows that were answered."""
    settings = params.evaluate
    scores = {}
    for one in found:
        tables = [answers[name] for name in one.members]
        table = evaluation.vote(tables, one.mixture, name=one.name, temperature=one.temperature)
        songs = evaluation.by_song(table)
        scores[one.name] = evaluation.measure(
            songs, samples=settings.bootstrap_samples, seed=settings.seed
        )
    return scores


def calibration(held_out: Mapping[str, pd.DataFrame], one: Candidate, params: Params) -> Scores:
    """How true the probabilities of held-out songs are, before and after all temperatures."""
    settings = params.evaluate
    as_trained = Mixture((1.0,) * len(one.members), one.mixture.weights)
    tables = [held_out[name] for name in one.members]
    before = evaluation.vote(tables, as_trained, name=one.name, temperature=1.0)
    found: Scores = {}
    for when, segments in (("before", before), ("after", one.held_out)):
        songs = evaluation.by_song(segments)
        errors = evaluation.reliability(
            evaluation.probabilities(songs),
            evaluation.truth(songs),
            samples=settings.bootstrap_samples,
            seed=settings.seed,
        )
        found[when] = {
            "ece": round(errors.ece, DECIMALS),
            "ece_debiased": round(errors.ece_debiased, DECIMALS),
            "ece_chance": round(errors.ece_chance, DECIMALS),
            "consistent": bool(errors.consistent),
            "n": len(songs),
        }
    return found


def together(sittings: Sequence[Scores]) -> Scores:
    """Means over splits of the candidates that all of them had, and each split, seeded from 0."""
    names = [n for n in sittings[0]["models"] if all(n in one["models"] for one in sittings)]
    kept = ("held_out", VALIDATION, TEST, "calibration")
    models = {
        name: {
            what: _mean([one["models"][name][what] for one in sittings])
            for what in kept
            if all(what in one["models"][name] for one in sittings)
        }
        for name in names
    }

    def rank(name: str) -> tuple[float, float]:
        return models[name]["held_out"]["f1_macro"], models[name]["held_out"]["accuracy"]

    selected = max(names, key=rank)
    return {
        "selected": selected,
        "models": models,
        "calibration": models[selected]["calibration"],
        "seeds": [{"seed": seed, **one} for seed, one in enumerate(sittings)],
    }


def _mean(values: Sequence[Any]) -> Any:
    """The mean of numbers, of lists and dictionaries entry by entry; counts add up, truths agree.

    Entries that not all have are left out.
    """
    first = values[0]
    if isinstance(first, dict):
        keys = [key for key in first if all(key in value for value in values)]
        return {
            key: sum(value[key] for value in values)
            if key == "n"
            else _mean([value[key] for value in values])
            for key in keys
        }
    if isinstance(first, list):
        return [_mean(entries) for entries in zip(*values, strict=True)]
    if isinstance(first, bool):
        return all(values)
    return round(float(np.mean(values)), DECIMALS)
