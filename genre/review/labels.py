"""Suspected labels, by confident learning with `cleanlab`.

Northcutt, Jiang and Chuang 2021 ("Confident learning: estimating uncertainty in dataset labels"): a
label is suspected if the song is off the diagonal of the confident joint, that is, if another genre
is more likely for it than that genre is on average for its own songs. Suspects are ranked by
normalised margin. Predictions must be out-of-fold: a model that was trained on a wrong label tends
to predict it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genre import evaluation

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("track_id", "genre", "suggested", "p_genre", "p_suggested", "segment")


def suspected_labels(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """The songs whose label is suspected, the most suspicious first: `COLUMNS`.

    `out_of_fold` is a table of predictions of segments (see `genre.evaluation`). `p_genre` and
    `p_suggested` are the song's probabilities of its label and of the most likely genre; `segment`
    is the one that disagrees most. Raises `InputError` if the table is invalid.
    """
    import pandas as pd
    from cleanlab.filter import find_label_issues

    evaluation.validate(out_of_fold)
    if out_of_fold.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    # One row per song, also if its segments are in several subsets.
    whole = out_of_fold.assign(subset="out of fold", group=out_of_fold["track_id"])
    songs = evaluation.by_song(whole)
    classes = evaluation.classes_of(songs)
    proba = evaluation.probabilities(songs)
    labels = np.array([classes.index(genre) for genre in songs["genre"]])
    ranked = find_label_issues(
        labels,
        proba,
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    suggested = proba.argmax(axis=1)
    track_ids = songs["track_id"].to_numpy()
    rows = [
        (
            track_ids[row],
            classes[labels[row]],
            classes[suggested[row]],
            float(proba[row, labels[row]]),
            float(proba[row, suggested[row]]),
            _disagrees_most(
                out_of_fold[out_of_fold["track_id"] == track_ids[row]],
                classes[labels[row]],
                classes[suggested[row]],
            ),
        )
        for row in ranked
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _disagrees_most(segments: pd.DataFrame, genre: str, suggested: str) -> int:
    """The number of the segment with the greatest margin of `suggested` over `genre`."""
    margin = (segments[f"p_{suggested}"] - segments[f"p_{genre}"]).to_numpy()
    return int(segments["segment"].to_numpy()[margin.argmax()])
