"""Select the model on out-of-fold predictions, a vote of all models among the candidates.

*Out-of-fold* predictions (`genre.models.folds`) are of songs of train and validation, each by a
model that was trained neither on the song nor on its group. Test songs are not among them. The vote
is scored with weights that are fitted on the other folds of songs.

Temperatures are fitted twice: to a model's segments before they are averaged, because a few
overconfident segments would outweigh the others, and then to the songs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.core.messages import command
from genre.evaluation.calibration import fit_temperature
from genre.evaluation.metrics import Scores, measure
from genre.evaluation.predictions import (
    TEMPERATURE,
    by_song,
    classes_of,
    make,
    probabilities,
    truth,
)
from genre.soft_voting import SoftVoting, scale

if TYPE_CHECKING:
    import pandas as pd

VOTE = "vote"
FOLDS = 5  # of groups, for the weights of the vote
MIN_WEIGHT = 0.02  # of a member of the vote; models with less are left out
KEYS = ["track_id", "segment", "group", "subset", "genre"]
MAX_ITERATIONS = 1000  # of the fit of the weights
TOLERANCE = 1e-9  # change of a weight at which the fit stops
DECIMALS = 6  # of weights

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A model or a vote that can be selected.

    `out_of_fold` are its predictions for the segments that all candidates have predicted, `scores`
    are those of the songs (see `measure`).
    """

    name: str
    members: tuple[str, ...]
    voting: SoftVoting
    temperature: float
    out_of_fold: pd.DataFrame
    scores: Scores


def candidates(
    out_of_fold: Mapping[str, pd.DataFrame], *, vote: bool, samples: int, seed: int
) -> list[Candidate]:
    """Each model in `out_of_fold` (name → table of predictions), and with `vote` their soft voting.

    Raises `InputError` if the models were trained on different genres, or have predicted no song in
    common.
    """
    tables = _in_common(out_of_fold)
    settings = {"samples": samples, "seed": seed}
    found = [_single(name, table, **settings) for name, table in tables.items()]
    if vote and len(tables) > 1:
        voting = _fit_voting(tables)
        table = _voted(tables, seed)
        kept = [at for at, weight in enumerate(voting.weights) if weight >= MIN_WEIGHT]
        if len(kept) > 1:
            total = sum(voting.weights[at] for at in kept)
            fewer = SoftVoting(
                tuple(voting.temperatures[at] for at in kept),
                tuple(voting.weights[at] / total for at in kept),
            )
            names = tuple(list(tables)[at] for at in kept)
            found.append(_candidate(VOTE, names, fewer, table, **settings))
    return found


def select(found: list[Candidate]) -> Candidate:
    """The candidate with the best song-level macro-F1, then accuracy, then the first."""
    return max(found, key=lambda one: (one.scores["f1_macro"], one.scores["accuracy"]))


def vote(
    tables: Sequence[pd.DataFrame], voting: SoftVoting, *, name: str, temperature: float
) -> pd.DataFrame:
    """Soft voting of several models, for the segments that all of them have predicted.

    `tables` are the members' predictions in the order of `voting`.
    """
    keys = _keys_in_common(tables)
    members = [probabilities(keys.merge(table, on=KEYS, validate="one_to_one")) for table in tables]
    return make(keys, voting.combine(members), classes_of(tables[0]), name, temperature)


def _single(name: str, table: pd.DataFrame, *, samples: int, seed: int) -> Candidate:
    """One model as a candidate, with a temperature fitted to its segments."""
    voting = _fit_voting({name: table})
    (temperature,) = voting.temperatures
    scaled = vote([table], voting, name=name, temperature=1.0)
    return _candidate(
        name, (name,), SoftVoting((temperature,), (1.0,)), scaled, samples=samples, seed=seed
    )


def _candidate(
    name: str,
    members: tuple[str, ...],
    voting: SoftVoting,
    table: pd.DataFrame,
    *,
    samples: int,
    seed: int,
) -> Candidate:
    songs = by_song(table)
    temperature = fit_temperature(probabilities(songs), truth(songs))
    table = table.assign(**{TEMPERATURE: temperature})
    scores = measure(by_song(table), samples=samples, seed=seed)
    return Candidate(name, members, voting, temperature, table, scores)


def _in_common(out_of_fold: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with the rows that all of them have, in one order."""
    if len({tuple(classes_of(table)) for table in out_of_fold.values()}) != 1:
        found = "; ".join(f"{name}: {', '.join(classes_of(t))}" for name, t in out_of_fold.items())
        raise InputError(
            f"the models were trained on different genres ({found}); train them again "
            f"({command('dvc repro train')})"
        )
    keys = _keys_in_common(list(out_of_fold.values()))
    if keys.empty:
        raise InputError(
            f"no song has out-of-fold predictions of all of {', '.join(out_of_fold)}; "
            f"train them again ({command('dvc repro train')})"
        )
    return {
        name: keys.merge(table, on=KEYS, validate="one_to_one").sort_values(
            KEYS[:2], ignore_index=True
        )
        for name, table in out_of_fold.items()
    }


def _keys_in_common(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    keys = tables[0][KEYS]
    for table in tables[1:]:
        keys = keys.merge(table[KEYS], on=KEYS)
    return keys


def _fit_voting(tables: Mapping[str, pd.DataFrame]) -> SoftVoting:
    members = [probabilities(table) for table in tables.values()]
    return fit_voting(members, truth(next(iter(tables.values()))))


def _voted(tables: Mapping[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """The vote's predictions; the weights for each fold are fitted on the other folds."""
    rows = next(iter(tables.values()))
    names, group = np.unique(rows["group"].to_numpy(str), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    fold = (order % min(FOLDS, len(names)))[group]
    classes = classes_of(rows)
    proba = np.zeros((len(rows), len(classes)))
    for number in np.unique(fold):
        inside = fold == number
        others = {name: table[~inside] for name, table in tables.items()}
        voting = _fit_voting(others if not inside.all() else tables)
        proba[inside] = voting.combine([probabilities(table[inside]) for table in tables.values()])
    return make(rows, proba, classes, VOTE)


def fit_voting(members: Sequence[Floats], truth: npt.NDArray[np.int64]) -> SoftVoting:
    """Fit the temperature of each member by maximum likelihood of `truth`, then their weights.

    `members` are out-of-fold probabilities [each shape=(n, classes)], `truth` indexes classes
    [shape=(n,)]. Raises `InputError` if there are no rows.
    """
    temperatures = tuple(fit_temperature(proba, truth) for proba in members)
    rows = np.arange(len(truth))
    scaled = [scale(*pair) for pair in zip(members, temperatures, strict=True)]
    weights = fit_weights(np.stack([proba[rows, truth] for proba in scaled]))
    return SoftVoting(temperatures, tuple(round(float(weight), DECIMALS) for weight in weights))


def fit_weights(proba: Floats) -> Floats:
    """The weights of the members that maximise the likelihood of the true genres; they sum to 1.

    `proba` is each member's probability of the true genre of each row [shape=(members, n)]. Fitted
    by expectation-maximisation; the likelihood has one maximum.
    """
    weights = np.full(len(proba), 1 / len(proba))
    for _ in range(MAX_ITERATIONS):
        share = weights[:, np.newaxis] * np.maximum(proba, 1e-12)
        updated = (share / share.sum(axis=0)).mean(axis=1)
        converged = np.abs(updated - weights).max() < TOLERANCE
        weights = updated
        if converged:
            break
    return np.asarray(weights / weights.sum(), dtype=np.float64)
