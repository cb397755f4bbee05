"""*Out-of-fold* predictions: of rows that the model was not trained on.

Rows of one group are always in one fold, and every genre is in every training part: if all rows of
a genre would be in one fold, its groups are in no fold, so they are always trained on and never
predicted.
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

NO_FOLD, NOT_USED = -1, -2

Labels = npt.NDArray[np.int64]


def fold_numbers(examples: Examples, folds: int, seed: int) -> Labels:
    """The fold of each row, from 0, or `IN_NO_FOLD` [shape=(n,)].

    The groups of each genre are shuffled with `seed` and dealt to the folds in turn.
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
            fold_of_group[members] = NO_FOLD
    if (fold_of_group == NO_FOLD).all():
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
    """Predict each fold of `rows` with a model that is trained on the other folds.

    Returns the table of predictions, without rows in no fold. A model with early stopping
    validates on the next fold, and is not trained on that one. The folds are trained in `workers`
    processes; the result does not depend on their number.

    Raises `WorkerError` if a process ends before its fold is predicted.
    """
    import pandas as pd

    indices = np.flatnonzero(rows)
    blank = np.empty((len(indices), 0))
    number = np.full(len(rows), NOT_USED)
    number[indices] = fold_numbers(data.examples(rows, blank, ()), folds, seed)
    used = sorted(set(number.tolist()) - {NO_FOLD, NOT_USED})
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
    """A file with `data`, which processes load with shared memory."""
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
    training = (number != fold) & (number != NOT_USED)
    stopping = np.zeros(len(number), dtype=bool)
    if model.stops_early:
        stopping = number == following
        kept = data.keys.loc[training & ~stopping, "genre"]
        if set(kept) == set(data.keys.loc[training, "genre"]):
            training &= ~stopping  # else too few groups: stop on rows that are trained on too
    model.fit(data.training_examples(training), data.training_examples(stopping), seed=seed)
    return data.predict(model, number == fold)
