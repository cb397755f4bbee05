"""Predictions of rows that a model has not learned from: *out of fold*.

Rows of one group are always in one fold, and every genre stays in every training part. Where a
genre cannot be spared (all its rows are in one fold, as they are of one group), its groups are in
no fold: they are always learned from and never predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genre.errors import InputError
from genre.models.base import Examples, Model, Progress, silent

IN_NO_FOLD = -1


@dataclass(frozen=True)
class OutOfFold:
    """`proba` is float64 [shape=(n, classes)], meaningful where `scored` [shape=(n,)] is true."""

    proba: npt.NDArray[np.float64]
    scored: npt.NDArray[np.bool_]


def fold_numbers(examples: Examples, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each row, from 0, or `IN_NO_FOLD` [shape=(n,)].

    The groups of each genre are shuffled by `seed` and dealt out, so that genres are spread evenly.
    Raises `InputError` where no genre has groups for two folds.
    """
    names, group = np.unique(examples.groups.astype(str), return_inverse=True)
    rows = np.zeros((len(names), len(examples.classes)), dtype=np.int64)
    np.add.at(rows, (group, examples.y), 1)
    generator = np.random.default_rng(seed)
    fold_of_group = np.empty(len(names), dtype=np.int64)
    dealt = 0
    for genre in range(len(examples.classes)):
        members = generator.permutation(np.flatnonzero(rows.argmax(axis=1) == genre))
        fold_of_group[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    for genre in range(len(examples.classes)):
        members = np.flatnonzero(rows[:, genre])
        if len(set(fold_of_group[members])) == 1:
            fold_of_group[members] = IN_NO_FOLD
    if (fold_of_group == IN_NO_FOLD).all():
        raise InputError(
            f"found one song or artist for each genre in the {len(examples)} training rows, "
            "expected at least two of a genre; add songs"
        )
    return fold_of_group[group]


def predict_out_of_fold(
    make: Callable[[], Model],
    examples: Examples,
    *,
    folds: int,
    seed: int,
    progress: Progress = silent,
) -> OutOfFold:
    """Fit one model a fold on the others, and let it predict the fold.

    A model that stops early by validation rows is given the next fold for that, and does not
    learn from it.
    """
    number = fold_numbers(examples, folds, seed)
    used = sorted(set(number.tolist()) - {IN_NO_FOLD})
    proba = np.zeros((len(examples), len(examples.classes)))
    for step, fold in enumerate(used):
        model = make()
        learned = number != fold
        stopping = np.zeros(len(examples), dtype=bool)
        if model.stops_early:
            stopping = number == used[(step + 1) % len(used)]
            rest = examples.take(learned & ~stopping)
            if rest.absent():  # too few groups to spare two folds: stop by the fold that is seen
                rest = examples.take(learned)
        else:
            rest = examples.take(learned)
        model.fit(rest, examples.take(stopping), seed=seed)
        proba[~learned] = model.predict_proba(examples.X[~learned])
        progress(step + 1, len(used), f"{model.name} out of fold")
    return OutOfFold(proba, number != IN_NO_FOLD)
