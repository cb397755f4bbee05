"""Predictions of rows that a model has not learned from: *out of fold*.

Rows of one group are always in one fold, and every genre stays in every training part. Where a
genre cannot be spared (all its rows are in one fold, as they are of one group), its groups are in
no fold: they are always learned from and never predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.errors import InputError
from genre.models.base import Examples, Model, Progress, silent
from genre.models.data import Data, Mask

if TYPE_CHECKING:
    import pandas as pd

IN_NO_FOLD, NOT_ASKED = -1, -2

Labels = npt.NDArray[np.int64]


def fold_numbers(examples: Examples, folds: int, seed: int) -> Labels:
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
    data: Data,
    rows: Mask,
    *,
    folds: int,
    seed: int,
    workers: int = 1,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Fit one model a fold of `rows` on the others, and let it predict the fold.

    Returns the table of predictions, rows in no fold left out. A model that stops early by
    validation rows is given the next fold for that, and does not learn from it. `workers`
    processes share the folds; their number changes nothing in the result.
    """
    import pandas as pd
    from joblib import Parallel, delayed, parallel_config

    places = np.flatnonzero(rows)
    blank = np.empty((len(places), 0))
    number = np.full(len(rows), NOT_ASKED)
    number[places] = fold_numbers(data.examples(rows, blank, ()), folds, seed)
    used = sorted(set(number.tolist()) - {IN_NO_FOLD, NOT_ASKED})
    found: list[pd.DataFrame] = []
    with parallel_config("loky", inner_max_num_threads=1):
        jobs = (
            delayed(_predict_fold)(make, data, number, fold, used[(at + 1) % len(used)], seed)
            for at, fold in enumerate(used)
        )
        answers = Parallel(n_jobs=min(workers, len(used)), return_as="generator")(jobs)
        for step, part in enumerate(answers):
            found.append(part)
            progress(step + 1, len(used), f"cross-validation, fold {step + 1} of {len(used)}")
    return pd.concat(found).sort_values(["track_id", "segment"], ignore_index=True)


def _predict_fold(
    make: Callable[[], Model], data: Data, number: Labels, fold: int, following: int, seed: int
) -> pd.DataFrame:
    """The predictions for the rows of `fold`."""
    model = make()
    learned = (number != fold) & (number != NOT_ASKED)
    stopping = np.zeros(len(number), dtype=bool)
    if model.stops_early:
        stopping = number == following
        kept = data.keys.loc[learned & ~stopping, "genre"]
        if set(kept) == set(data.keys.loc[learned, "genre"]):
            learned &= ~stopping  # else too few groups to spare two: it stops by what it learns
    model.fit(data.learn(learned), data.learn(stopping), seed=seed)
    return data.answer(model, number == fold)
