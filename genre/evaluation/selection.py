"""Which model answers: chosen by songs that none of the models has learned from.

Looked at are the *held-out* predictions of each trained model (`genre.models.folds`): songs of
train and validation, each answered by a model that has heard neither it nor its group. Test songs
are not among them. The vote's weights are part of what is judged, so that each fold of songs is
answered with weights learned from the others.

Temperatures are fitted twice: to a model's segments, before they are averaged, as a model that is
far too sure of a few segments would drown the others; and to the songs that come of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
from genre.evaluation.voting import fit_mixture
from genre.soft_voting import Mixture

if TYPE_CHECKING:
    import pandas as pd

VOTE = "vote"
FOLDS = 5  # of groups, for the weights of the vote
SMALLEST_WEIGHT = 0.02  # of a member of the vote; one that counts for less is left out
KEYS = ["track_id", "segment", "group", "subset", "genre"]


@dataclass(frozen=True)
class Candidate:
    """A model or a vote that could be chosen.

    `held_out` are its predictions at `temperature`, of songs that all candidates have answered;
    `scores` those of their songs (see `measure`).
    """

    name: str
    members: tuple[str, ...]
    mixture: Mixture
    temperature: float
    held_out: pd.DataFrame
    scores: Scores


def candidates(
    held_out: Mapping[str, pd.DataFrame], *, vote: bool, samples: int, seed: int
) -> list[Candidate]:
    """Each model of `held_out` (a table of predictions a model), and with `vote` all together.

    Temperatures are fitted to songs. Raises `InputError` where the models have not answered for
    the same genres, or for no song in common.
    """
    tables = _in_common(held_out)
    settings = {"samples": samples, "seed": seed}
    found = [_alone(name, table, **settings) for name, table in tables.items()]
    if vote and len(tables) > 1:
        mixture = _mixture(tables)
        table = _voted(tables, seed)
        kept = [at for at, weight in enumerate(mixture.weights) if weight >= SMALLEST_WEIGHT]
        if len(kept) > 1:
            total = sum(mixture.weights[at] for at in kept)
            fewer = Mixture(
                tuple(mixture.temperatures[at] for at in kept),
                tuple(mixture.weights[at] / total for at in kept),
            )
            names = tuple(list(tables)[at] for at in kept)
            found.append(_candidate(VOTE, names, fewer, table, **settings))
    return found


def select(found: list[Candidate]) -> Candidate:
    """The best candidate: song-level macro-F1, then accuracy, then the earlier one."""
    return max(found, key=lambda one: (one.scores["f1_macro"], one.scores["accuracy"]))


def vote(
    tables: Sequence[pd.DataFrame], mixture: Mixture, *, name: str, temperature: float
) -> pd.DataFrame:
    """The common predictions of several models, of the segments that all of them have answered.

    `tables` are the members' predictions in the order of `mixture`.
    """
    keys = _keys_in_common(tables)
    answers = [probabilities(keys.merge(table, on=KEYS, validate="one_to_one")) for table in tables]
    return make(keys, mixture.mix(answers), classes_of(tables[0]), name, temperature)


def _alone(name: str, table: pd.DataFrame, *, samples: int, seed: int) -> Candidate:
    """One model as a candidate, its segments at the temperature that suits them."""
    mixture = _mixture({name: table})
    (heat,) = mixture.temperatures
    scaled = vote([table], mixture, name=name, temperature=1.0)
    return _candidate(name, (name,), Mixture((heat,), (1.0,)), scaled, samples=samples, seed=seed)


def _candidate(
    name: str,
    members: tuple[str, ...],
    mixture: Mixture,
    table: pd.DataFrame,
    *,
    samples: int,
    seed: int,
) -> Candidate:
    songs = by_song(table)
    temperature = fit_temperature(probabilities(songs), truth(songs))
    table = table.assign(**{TEMPERATURE: temperature})
    scores = measure(by_song(table), samples=samples, seed=seed)
    return Candidate(name, members, mixture, temperature, table, scores)


def _in_common(held_out: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with the rows that all of them have, in one order."""
    if len({tuple(classes_of(table)) for table in held_out.values()}) != 1:
        known = "; ".join(f"{name}: {', '.join(classes_of(t))}" for name, t in held_out.items())
        raise InputError(
            f"models know different genres ({known}); train them again "
            f"({command('dvc repro train')})"
        )
    keys = _keys_in_common(list(held_out.values()))
    if keys.empty:
        raise InputError(
            f"no song that {', '.join(held_out)} have all answered without learning from it; "
            f"train them again ({command('dvc repro train')})"
        )
    return {
        name: keys.merge(table, on=KEYS, validate="one_to_one").sort_values(
            KEYS[:2], ignore_index=True
        )
        for name, table in held_out.items()
    }


def _keys_in_common(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    keys = tables[0][KEYS]
    for table in tables[1:]:
        keys = keys.merge(table[KEYS], on=KEYS)
    return keys


def _mixture(tables: Mapping[str, pd.DataFrame]) -> Mixture:
    answers = [probabilities(table) for table in tables.values()]
    return fit_mixture(answers, truth(next(iter(tables.values()))))


def _voted(tables: Mapping[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """The vote's predictions; each fold's weights are learned from the other folds."""
    rows = next(iter(tables.values()))
    names, group = np.unique(rows["group"].to_numpy(str), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    fold = (order % min(FOLDS, len(names)))[group]
    classes = classes_of(rows)
    proba = np.zeros((len(rows), len(classes)))
    for number in np.unique(fold):
        inside = fold == number
        learned = {name: table[~inside] for name, table in tables.items()}
        mixture = _mixture(learned if not inside.all() else tables)
        answers = [probabilities(table[inside]) for table in tables.values()]
        proba[inside] = mixture.mix(answers)
    return make(rows, proba, classes, VOTE)
