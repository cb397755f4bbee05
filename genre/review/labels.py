"""Suspected labels, by confident learning.

The method is that of Northcutt, Jiang and Chuang 2021 ("Confident learning: estimating uncertainty
in dataset labels"), as `cleanlab` implements it: a song is suspected where its predictions put it
off the diagonal of the confident joint, that is where another genre is likelier than that genre is
on average for songs that are filed under it. Suspects are ranked by normalised margin.

Predictions must come from models that had heard neither the song nor its group; a model that knows
the song believes the label that it learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genre import evaluation

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("track_id", "genre", "suggested", "p_genre", "p_suggested", "segment")


def suspected_labels(held_out: pd.DataFrame) -> pd.DataFrame:
    """The songs whose label is suspected, the most suspicious first: `COLUMNS`.

    `held_out` is a table of predictions of segments (see `genre.evaluation`). `p_genre` and
    `p_suggested` are the song's probabilities of the genre that it is filed under and of the
    likeliest; `segment` is the one that disagrees most. Raises `InputError` for what is no table of
    predictions.
    """
    import pandas as pd
    from cleanlab.filter import find_label_issues

    evaluation.validate(held_out)
    if held_out.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    # One row a song, also where the pieces of a song stand on several sides.
    whole = held_out.assign(subset="held out", group=held_out["track_id"])
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
                held_out[held_out["track_id"] == track_ids[row]],
                classes[labels[row]],
                classes[suggested[row]],
            ),
        )
        for row in ranked
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _disagrees_most(segments: pd.DataFrame, genre: str, suggested: str) -> int:
    """The number of the segment that prefers `suggested` to `genre` most; the first of equals."""
    margin = (segments[f"p_{suggested}"] - segments[f"p_{genre}"]).to_numpy()
    return int(segments["segment"].to_numpy()[margin.argmax()])
