"""The results for new songs: predictions, scores, and the top three genres of each song."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre import evaluation
from genre.audio import SEGMENT_SECONDS
from genre.new_songs.sampling import SAMPLES

if TYPE_CHECKING:
    import pandas as pd

    from genre.models.ensemble import Ensemble

SUBSET = "new"  # in the predictions' column `subset`
RANKS = ("first", "second", "third")
DECIMALS = 4

# `track_id` → starts of the samples in seconds [shape=(n,)], their probabilities
# [shape=(n, classes)].
SampleProba = dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]


def predictions(
    songs: pd.DataFrame,
    proba_of: SampleProba,
    ensemble: Ensemble,
) -> pd.DataFrame:
    """The table of predictions, one row per sample, with `start_s` (seconds into the song).

    `songs` has `track_id, genre, group`; songs without samples are left out.
    """
    import pandas as pd

    audible = songs[songs["track_id"].isin(set(proba_of))]
    counts = [len(proba_of[track][0]) for track in audible["track_id"]]
    rows = audible[["track_id", "group", "genre"]].loc[audible.index.repeat(counts)]
    rows = rows.assign(segment=[n for count in counts for n in range(count)], subset=SUBSET)
    starts = np.concatenate([proba_of[track][0] for track in audible["track_id"]])
    proba = np.concatenate([proba_of[track][1] for track in audible["track_id"]])
    table = evaluation.make(
        rows, proba, ensemble.classes, ensemble.name, temperature=ensemble.temperature
    )
    positions = pd.DataFrame(
        {"track_id": rows["track_id"], "segment": rows["segment"], "start_s": starts.round(3)}
    )
    return table.merge(positions, on=["track_id", "segment"], validate="one_to_one")


def describe(table: pd.DataFrame, *, samples: int, seed: int) -> dict[str, Any]:
    """The scores of segments and of songs, overall and by genre.

    Intervals are from `samples` bootstrap draws.
    """
    songs = evaluation.by_song(table)
    levels = dict(zip(evaluation.LEVELS, (table, songs), strict=True))
    scores = {
        level: evaluation.measure(rows, samples=samples, seed=seed)
        for level, rows in levels.items()
    }
    genres = {
        level: evaluation.per_genre(rows).set_index("genre").to_dict("index")
        for level, rows in levels.items()
    }
    return {
        "songs": len(songs),
        "groups": int(songs["group"].nunique()),
        "samples_of_a_song": SAMPLES,
        "sample_seconds": SEGMENT_SECONDS,
        **scores,
        "genres": {level: _plain(rows) for level, rows in genres.items()},
    }


def top_genres(whole: pd.DataFrame, songs: pd.DataFrame) -> pd.DataFrame:
    """One row per song: `path, artist, genre`, and the most likely genres with probabilities.

    `whole` are predictions of songs; `songs` has `track_id, path, artist`. Sorted by path.
    """
    classes = np.array(evaluation.classes_of(whole), dtype=object)
    proba = evaluation.probabilities(whole)
    order = np.argsort(-proba, axis=1, kind="stable")
    found = whole[["track_id", "genre"]].merge(
        songs[["track_id", "path", "artist"]], on="track_id", how="left"
    )[["path", "artist", "genre"]]
    for number, rank in enumerate(RANKS[: len(classes)]):
        found[rank] = classes[order[:, number]]
        share = np.take_along_axis(proba, order[:, [number]], axis=1)[:, 0]
        found[f"p_{rank}"] = share.round(DECIMALS)
    return found.sort_values("path", ignore_index=True)


def heading(what: str, protocol: str, *, demo: bool) -> str:
    """The title of a figure; `protocol` is the split protocol of the classifier."""
    note = f"report's new-song protocol; classifier trained under protocol {protocol}"
    return f"{what}\n{note}{', synthetic demo songs' if demo else ''}"


def _plain(rows: Mapping[Any, Mapping[Any, Any]]) -> dict[str, dict[str, Any]]:
    """Values for JSON: Python's numbers, None for missing values."""
    import pandas as pd

    def plain(value: Any) -> Any:
        if pd.isna(value):
            return None
        return value.item() if isinstance(value, np.generic) else value

    return {
        str(genre): {str(name): plain(value) for name, value in row.items()}
        for genre, row in rows.items()
    }
