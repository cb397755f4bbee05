"""Suspected labels: which songs, in which order, and the segments to play."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genre import evaluation
from genre.core.errors import InputError
from genre.review import suspected_labels

# Songs of two genres by their probability of jazz. By hand, after Northcutt, Jiang and Chuang 2021:
# the threshold of jazz is the mean of jazz songs' own probabilities, (0.9 + 0.8 + 0.1) / 3 = 0.6,
# that of rock (0.9 + 0.8 + 0.7 + 0.35) / 4 = 0.6875. j3 has 0.9 of rock, above rock's threshold:
# suspected. r4 has 0.65 of jazz, above jazz's threshold, and only 0.35 of rock: suspected.
SONGS = {
    "j1": ("jazz", 0.9),
    "j2": ("jazz", 0.8),
    "j3": ("jazz", 0.1),
    "r1": ("rock", 0.1),
    "r2": ("rock", 0.2),
    "r3": ("rock", 0.3),
    "r4": ("rock", 0.65),
}


def table(songs: dict[str, tuple[str, list[float]]], classes: tuple[str, ...]) -> pd.DataFrame:
    """Predictions with one row per segment: the probabilities of jazz; rock has the rest."""
    rows = [
        (track_id, segment, track_id, "train", genre, share)
        for track_id, (genre, jazz) in songs.items()
        for segment, share in enumerate(jazz)
    ]
    keys = ["track_id", "segment", "group", "subset", "genre", "jazz"]
    frame = pd.DataFrame(rows, columns=keys)
    proba = np.zeros((len(frame), len(classes)))
    proba[:, classes.index("jazz")] = frame["jazz"]
    proba[:, classes.index("rock")] = 1 - frame["jazz"]
    return evaluation.make(frame, proba, classes, "svm")


def test_a_song_is_suspected_if_another_genre_passes_its_threshold() -> None:
    out_of_fold = table(
        {name: (genre, [p]) for name, (genre, p) in SONGS.items()}, ("jazz", "rock")
    )

    found = suspected_labels(out_of_fold)

    assert found["track_id"].tolist() == ["j3", "r4"]  # margins 0.8 and 0.3: the worst first
    assert found["genre"].tolist() == ["jazz", "rock"]
    assert found["suggested"].tolist() == ["rock", "jazz"]
    np.testing.assert_allclose(found["p_genre"], [0.1, 0.35])
    np.testing.assert_allclose(found["p_suggested"], [0.9, 0.65])


def test_a_song_below_the_other_genres_threshold_is_not_suspected() -> None:
    # r4 now has 0.55 of jazz: likelier than rock, and below what jazz songs have (0.6).
    songs = {**SONGS, "r4": ("rock", 0.55)}
    out_of_fold = table(
        {name: (genre, [p]) for name, (genre, p) in songs.items()}, ("jazz", "rock")
    )

    assert suspected_labels(out_of_fold)["track_id"].tolist() == ["j3"]


def test_the_segment_that_disagrees_most_is_the_part_to_play() -> None:
    songs = {name: (genre, [p, p, p]) for name, (genre, p) in SONGS.items()}
    songs["j3"] = ("jazz", [0.2, 0.0, 0.1])

    found = suspected_labels(table(songs, ("jazz", "rock")))

    assert found.loc[0, ["track_id", "segment"]].tolist() == ["j3", 1]
    assert found.loc[0, "p_genre"] == pytest.approx(0.1)


def test_a_song_with_segments_in_two_subsets_is_one_song() -> None:
    out_of_fold = table({name: (g, [p, p]) for name, (g, p) in SONGS.items()}, ("jazz", "rock"))
    out_of_fold.loc[out_of_fold["segment"] == 1, "subset"] = "validation"
    out_of_fold["group"] = out_of_fold["track_id"] + out_of_fold["segment"].astype(str)

    assert suspected_labels(out_of_fold)["track_id"].tolist() == ["j3", "r4"]


def test_a_genre_without_predictions_is_accepted() -> None:
    songs = {name: (genre, [p]) for name, (genre, p) in SONGS.items()}

    found = suspected_labels(table(songs, ("blues", "jazz", "rock")))

    assert found["track_id"].tolist() == ["j3", "r4"]


def test_without_predictions_nothing_is_suspected() -> None:
    out_of_fold = table(
        {name: (genre, [p]) for name, (genre, p) in SONGS.items()}, ("jazz", "rock")
    )

    assert suspected_labels(out_of_fold.iloc[:0]).empty


def test_a_label_that_every_model_confirms_is_not_suspected() -> None:
    songs = {"j1": ("jazz", [1.0]), "j2": ("jazz", [0.9]), "r1": ("rock", [0.0])}

    assert suspected_labels(table(songs, ("jazz", "rock"))).empty


def test_an_invalid_table_of_predictions_is_refused() -> None:
    out_of_fold = table({"j1": ("jazz", [0.5])}, ("jazz", "rock"))

    with pytest.raises(InputError, match="no column genre"):
        suspected_labels(out_of_fold.drop(columns="genre"))
