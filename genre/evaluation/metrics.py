"""Scores of a table of predictions, over all rows and by genre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genre.evaluation.bootstrap import count_by_group, intervals
from genre.evaluation.predictions import by_song, classes_of, predicted, probabilities
from genre.splits import SUBSETS

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("segment", "song")
TOP = 3
DECIMALS = 6  # of every score: enough for any number of songs, and the same on every machine

Scores = dict[str, Any]


def measure(rows: pd.DataFrame, *, samples: int, seed: int) -> Scores:
    """The scores of `rows` (predictions of one model, of segments or of songs).

    `accuracy`, `precision_macro`, `recall_macro`, `f1_macro`, `top3_accuracy`; `ci95`, the interval
    of the accuracy, and `f1_macro_ci95`, each `[low, high]` from `samples` draws; and `n`, the
    number of rows.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    truth, guess = rows["genre"].to_numpy(dtype=object), predicted(rows)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, guess, average="macro", zero_division=0
    )
    counts = count_by_group(rows["group"].to_numpy(), truth, guess)
    accuracy_ci, f1_ci = intervals(counts, samples=samples, seed=seed)
    scores = {
        "accuracy": accuracy_score(truth, guess),
        "precision_macro": precision,
        "recall_macro": recall,
        "f1_macro": f1,
        "top3_accuracy": _top_accuracy(rows),
    }
    return {
        **{name: round(float(score), DECIMALS) for name, score in scores.items()},
        "ci95": [round(bound, DECIMALS) for bound in accuracy_ci],
        "f1_macro_ci95": [round(bound, DECIMALS) for bound in f1_ci],
        "n": len(rows),
    }


def evaluate(predictions: pd.DataFrame, *, samples: int, seed: int) -> dict[str, dict[str, Scores]]:
    """The scores of one model: subset → level (`segment`, `song`) → `measure`.

    Subsets without rows are left out.
    """
    found = {}
    for subset in SUBSETS:
        rows = predictions[predictions["subset"] == subset]
        if len(rows):
            tables = dict(zip(LEVELS, (rows, by_song(rows)), strict=True))
            found[subset] = {
                level: measure(table, samples=samples, seed=seed) for level, table in tables.items()
            }
    return found


def confusion(rows: pd.DataFrame, classes: Sequence[str] | None = None) -> pd.DataFrame:
    """The confusion matrix: actual genres in rows, predicted ones in columns, counts as int64.

    `classes` are by default the genres of the model.
    """
    import pandas as pd
    from sklearn.metrics import confusion_matrix

    names = list(classes or classes_of(rows))
    counts = confusion_matrix(rows["genre"].to_numpy(dtype=object), predicted(rows), labels=names)
    index, columns = pd.Index(names, name="actual"), pd.Index(names, name="predicted")
    return pd.DataFrame(counts, index=index, columns=columns)


def most_confused(counts: pd.DataFrame, pairs: int = 10) -> pd.DataFrame:
    """The most frequent confusions of two genres: `actual, predicted, n, share`.

    `counts` is a confusion matrix; `share` is relative to the rows of the actual genre.
    """
    long = counts.reset_index().melt(id_vars="actual", var_name="predicted", value_name="n")
    totals = counts.sum(axis=1)
    long["share"] = (long["n"] / long["actual"].map(totals).clip(lower=1)).round(DECIMALS)
    wrong = long[(long["actual"] != long["predicted"]) & (long["n"] > 0)]
    order = ["n", "share", "actual", "predicted"]
    ranked = wrong.sort_values(order, ascending=[False, False, True, True], ignore_index=True)
    return ranked.head(pairs)


def per_genre(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per genre: `genre, n, predicted, precision, recall, f1, mistaken_for`, sorted.

    `n` rows are of the genre, and `predicted` rows were predicted as it; `mistaken_for` is the most
    frequent wrong prediction, None if there was none.
    """
    import pandas as pd
    from sklearn.metrics import precision_recall_fscore_support

    counts = confusion(rows)
    names = list(counts.index)
    precision, recall, f1, support = precision_recall_fscore_support(
        rows["genre"].to_numpy(dtype=object), predicted(rows), labels=names, zero_division=0
    )
    wrong = counts.to_numpy().copy()
    np.fill_diagonal(wrong, 0)
    worst = [names[row.argmax()] if row.any() else None for row in wrong]
    table = pd.DataFrame(
        {
            "genre": names,
            "n": support,
            "predicted": counts.sum(axis=0).to_numpy(),
            "precision": np.round(precision, DECIMALS),
            "recall": np.round(recall, DECIMALS),
            "f1": np.round(f1, DECIMALS),
            "mistaken_for": worst,
        }
    )
    return table.sort_values("genre", ignore_index=True)


def _top_accuracy(rows: pd.DataFrame) -> float:
    """The share of rows whose genre is among the three most likely; 1 for up to three genres."""
    from sklearn.metrics import top_k_accuracy_score

    classes = classes_of(rows)
    if len(classes) <= TOP:
        return 1.0
    order = np.argsort(classes)  # scikit-learn needs sorted labels
    return float(
        top_k_accuracy_score(
            rows["genre"].to_numpy(dtype=object),
            probabilities(rows)[:, order],
            k=TOP,
            labels=np.array(classes, dtype=object)[order],
        )
    )
