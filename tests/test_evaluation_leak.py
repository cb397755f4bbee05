"""The effect of leakage: a model that memorises songs, under each protocol."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier
from test_splits import SHARES, artists, catalogue

from genre import evaluation, splits

GENRES = ("blues", "jazz", "metal", "rock")


def make_predictions(protocol: str) -> tuple[pd.DataFrame, splits.Split]:
    """Predictions of the nearest neighbour; features identify songs and not genres."""
    random = np.random.default_rng(0)
    songs = catalogue(*[song for genre in GENRES for song in artists(genre, *[3] * 10)])
    found = splits.split(songs, protocol=protocol, shares=SHARES, seed=0)
    rows = songs[["track_id", "genre"]].merge(
        pd.DataFrame({"segment": range(splits.SEGMENTS)}), how="cross"
    )
    fingerprint = random.normal(0, 1, (len(songs), 8))
    X = np.repeat(fingerprint, splits.SEGMENTS, axis=0) + random.normal(0, 0.05, (len(rows), 8))
    table = found.table
    if protocol == "segment":
        rows = rows.merge(table.astype({"segment": "int64"}), on=["track_id", "segment"])
    else:
        rows = rows.merge(table.drop(columns="segment"), on="track_id")
    train = (rows["subset"] == "train").to_numpy()
    model = KNeighborsClassifier(1).fit(X[train], rows.loc[train, "genre"])
    return evaluation.make(rows, model.predict_proba(X), list(model.classes_), protocol), found


def test_an_overfitted_model_is_good_only_if_segments_of_songs_leak() -> None:
    accuracy = {}
    for protocol in ("segment", "song", "artist"):
        predictions, found = make_predictions(protocol)
        scores = evaluation.evaluate(predictions, samples=200, seed=0)["test"]["segment"]
        accuracy[protocol] = scores["accuracy"]
        assert bool(found.artist_leak) == (protocol in splits.LEAKY)
    assert accuracy["segment"] > 0.95
    assert accuracy["song"] < 0.45
    assert accuracy["artist"] < 0.45


def test_under_the_leaky_protocol_intervals_still_draw_whole_songs() -> None:
    predictions, _ = make_predictions("segment")
    assert (predictions["group"] == predictions["track_id"]).all()
    songs = evaluation.by_song(predictions)
    assert not songs.duplicated(["track_id", "subset"]).any()
