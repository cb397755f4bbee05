"""The table of predictions: make it, validate it, and average segments to songs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.core.messages import command
from genre.soft_voting import scale

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "p_"
TEMPERATURE = "temperature"
KEYS = ("model", "track_id", "segment", "group", "subset", "genre")
SUM_TOLERANCE = 1e-5  # of a row of probabilities; networks predict in float32


def make(
    rows: pd.DataFrame,
    proba: npt.NDArray[np.float64],
    classes: Sequence[str],
    model: str,
    temperature: float = 1.0,
) -> pd.DataFrame:
    """Make the table of the predictions `proba` [shape=(n, classes)] of `model` for `rows`.

    `rows` has the columns `track_id, segment, group, subset, genre`; `temperature` is that of
    songs. The table is sorted and validated.
    """
    import pandas as pd

    keys = rows[[name for name in KEYS if name != "model"]].reset_index(drop=True)
    keys.insert(0, "model", model)
    keys[TEMPERATURE] = temperature
    values = pd.DataFrame(proba, columns=[PREFIX + genre for genre in classes])
    table = pd.concat([keys, values], axis=1)
    validate(table)
    return table.sort_values(["track_id", "segment"], ignore_index=True)


def classes_of(predictions: pd.DataFrame) -> list[str]:
    """The genres that the model was trained on, in the order of the columns."""
    return [str(n).removeprefix(PREFIX) for n in predictions.columns if str(n).startswith(PREFIX)]


def probabilities(predictions: pd.DataFrame) -> npt.NDArray[np.float64]:
    """The probabilities, float64 [shape=(n, classes)]."""
    return predictions[[PREFIX + genre for genre in classes_of(predictions)]].to_numpy(np.float64)


def predicted(predictions: pd.DataFrame) -> npt.NDArray[Any]:
    """The predicted genre of each row [shape=(n,)]."""
    names = np.array(classes_of(predictions), dtype=object)
    return np.asarray(names[probabilities(predictions).argmax(axis=1)])


def truth(predictions: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The true genre of each row, as an index into the classes [shape=(n,)]."""
    numbers = {genre: number for number, genre in enumerate(classes_of(predictions))}
    return np.array([numbers[genre] for genre in predictions["genre"]], dtype=np.int64)


def validate(predictions: pd.DataFrame) -> None:
    """Raise `InputError` unless this is a valid table of predictions.

    Probabilities must be between 0 and 1 and sum to 1 in each row; the model must have been trained
    on each true genre.
    """
    if missing := [name for name in KEYS if name not in predictions.columns]:
        raise InputError(f"predictions: found no column {', '.join(missing)}")
    model = ", ".join(predictions["model"].astype(str).unique())
    proba = probabilities(predictions)
    if unknown := sorted(set(predictions["genre"]) - set(classes_of(predictions))):
        raise InputError(
            f"model {model}: was not trained on {', '.join(unknown)}, of which there are songs; "
            f"train it again ({command('dvc repro train')})"
        )
    if not np.isfinite(proba).all():
        raise InputError(
            f"model {model}: predicts probabilities that are not finite; train it again"
        )
    if (proba < 0).any() or (abs(proba.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        raise InputError(
            f"model {model}: predicts rows that are not probabilities, expected values from 0 to 1 "
            "that sum to 1"
        )


def by_song(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per song and subset: the mean of its segments' probabilities, scaled.

    The result has no columns `segment` and `temperature`.
    """
    names = [PREFIX + genre for genre in classes_of(predictions)]
    keys = ["model", "track_id", "group", "subset", "genre", TEMPERATURE]
    songs = predictions.groupby(keys, sort=True)[names].mean().reset_index()
    for temperature in set(songs[TEMPERATURE]) - {1.0}:
        rows = songs[TEMPERATURE] == temperature
        songs.loc[rows, names] = scale(songs.loc[rows, names].to_numpy(np.float64), temperature)
    return songs.drop(columns=TEMPERATURE)
