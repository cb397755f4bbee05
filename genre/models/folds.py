"""*Out-of-fold* predictions: of rows that the model was not trained on.

Rows of one group are always in one fold, and every genre stays in every training part. If a genre
cannot be spared (all its rows are in one fold, as they are of one group), its groups are in no
fold: they are always learned from and never predicted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.core.workers import WorkerError, in_order, process_workers, result, this_process
from genre.models.base import Examples, Model, Progress, silent
from genre.models.data import Data, Mask

if TYPE_CHECKING:
    import pandas as pd

IN_NO_FOLD, NOT_ASKED = -1, -2

Labels = npt.NDArray[np.int64]


def fold_numbers(examples: Examples, folds: int, seed: int) -> Labels:
    """The fold of each row, from 0, or `IN_NO_FOLD` [shape=(n,)].

    The groups of each genre are shuffled by `seed` and dealt out, so that genres are spread evenly.
    Raises `InputError` if no genre has groups for two folds.
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

    Raises `WorkerError` if a process ends before its fold is predicted.
    """
    import pandas as pd

    places = np.flatnonzero(rows)
    blank = np.empty((len(places), 0))
    number = np.full(len(rows), NOT_ASKED)
    number[places] = fold_numbers(data.examples(rows, blank, ()), folds, seed)
    used = sorted(set(number.tolist()) - {IN_NO_FOLD, NOT_ASKED})
    count = min(workers, len(used))
    found: list[pd.DataFrame] = []
    with ExitStack() as stack:
        pool = this_process()
        source: Data | Path = data
        if count > 1:
            source = stack.enter_context(_shared(data))
            needed = [__name__, type(make()).__module__, "pandas"]
            needed += ["torch"] if "torch" in sys.modules else []  # a model of this kind was fitted
            pool = stack.enter_context(process_workers(count, preload=needed))

        def send(fold: int) -> Future[pd.DataFrame]:
            following = used[(used.index(fold) + 1) % len(used)]
            return pool.submit(_predict_fold, make, source, number, fold, following, seed)

        for step, (_, future) in enumerate(in_order(pool, used, send), start=1):
            title = f"cross-validation, fold {step} of {len(used)}"
            try:
                found.append(result(future))
            except WorkerError as error:
                raise WorkerError(f"{title}: {error}") from error
            progress(step, len(used), title)
    return pd.concat(found).sort_values(["track_id", "segment"], ignore_index=True)


@contextmanager
def _shared(data: Data) -> Iterator[Path]:
    """A file of `data`, of whose arrays all processes that load it share the memory."""
    import joblib

    with TemporaryDirectory(prefix="genre-folds-") as folder:
        joblib.dump(data, path := Path(folder, "data"))
        yield path


def _predict_fold(
    make: Callable[[], Model],
    data: Data | Path,
    number: Labels,
    fold: int,
    following: int,
    seed: int,
) -> pd.DataFrame:
    """The predictions for the rows of `fold`."""
    if isinstance(data, Path):
        import joblib

        data = cast("Data", joblib.load(data, mmap_mode="r"))
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
