"""Scores against scikit-learn's, intervals against resampling row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as reference

from genre import evaluation
from genre.core.errors import InputError

GENRES = ("blues", "classical", "jazz", "metal", "rock")
DRAWN = {"samples": 200, "seed": 0}


def predictions(
    songs: int = 30,
    *,
    genres: tuple[str, ...] = GENRES,
    seed: int = 0,
    model: str = "mlp",
    skill: float = 1.0,
) -> pd.DataFrame:
    """Ten segments a song, half of them in validation; two songs a group."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, len(genres), songs)
    rows = pd.DataFrame(
        {
            "track_id": np.repeat([f"s{n:03d}" for n in range(songs)], 10),
            "segment": np.tile(np.arange(10), songs),
            "group": np.repeat([f"g{n // 2:03d}" for n in range(songs)], 10),
            "subset": np.repeat([("validation", "test")[n // 2 % 2] for n in range(songs)], 10),
            "genre": np.repeat(np.array(genres, dtype=object)[truth], 10),
        }
    )
    of_song = np.random.default_rng(seed + 1).normal(0, 1, (songs, len(genres)))
    of_song[np.arange(songs), truth] += skill
    logits = np.repeat(of_song, 10, axis=0)
    logits += np.random.default_rng(seed + 2).normal(0, 1, logits.shape)
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return evaluation.make(rows, proba, genres, model)


def test_scores_are_those_of_scikit_learn() -> None:
    rows = predictions()
    truth = rows["genre"].to_list()
    guess = [GENRES[n] for n in evaluation.probabilities(rows).argmax(axis=1)]
    found = evaluation.measure(rows, **DRAWN)
    average: dict[str, Any] = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": reference.accuracy_score(truth, guess),
        "precision_macro": reference.precision_score(truth, guess, **average),
        "recall_macro": reference.recall_score(truth, guess, **average),
        "f1_macro": reference.f1_score(truth, guess, **average),
        "top3_accuracy": reference.top_k_accuracy_score(
            truth, evaluation.probabilities(rows), k=3, labels=GENRES
        ),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["n"] == 300
    assert set(found) == {*expected, "ci95", "f1_macro_ci95", "n"}


def test_the_order_of_a_models_genres_changes_nothing() -> None:
    rows = predictions()
    keys = [name for name in rows.columns if not name.startswith("p_")]
    turned = rows[keys + [f"p_{genre}" for genre in reversed(GENRES)]]
    assert evaluation.measure(turned, **DRAWN) == evaluation.measure(rows, **DRAWN)


def test_top_three_of_three_genres_is_always_right() -> None:
    rows = predictions(genres=GENRES[:3], skill=-3)
    assert evaluation.measure(rows, **DRAWN)["top3_accuracy"] == 1


def test_a_song_has_the_mean_of_its_segments_probabilities() -> None:
    rows = predictions(4)
    songs = evaluation.by_song(rows)
    assert len(songs) == 4
    assert songs.loc[0, "p_jazz"] == pytest.approx(rows["p_jazz"][:10].mean())
    assert songs[["track_id", "group", "subset", "genre"]].equals(
        rows[["track_id", "group", "subset", "genre"]].iloc[::10].reset_index(drop=True)
    )


def by_resampling(
    rows: pd.DataFrame, score: Callable[[pd.DataFrame], float], *, samples: int, seed: int
) -> list[float]:
    """The percentile interval, with the same draws, by really putting the groups together."""
    groups = [group for _, group in rows.groupby("group", sort=True)]
    weights = np.random.default_rng(seed).multinomial(
        len(groups), np.full(len(groups), 1 / len(groups)), size=samples
    )
    values = [
        score(pd.concat([g for g, times in zip(groups, draw, strict=True) for _ in range(times)]))
        for draw in weights
    ]
    return list(np.quantile(values, [0.025, 0.975]))


@pytest.mark.parametrize("songs", [6, 30])
def test_intervals_are_those_of_resampling_whole_groups(songs: int) -> None:
    rows = evaluation.by_song(predictions(songs)).assign(
        guess=lambda table: evaluation.predicted(table)
    )
    found = evaluation.measure(rows, samples=99, seed=3)
    accuracy = by_resampling(rows, lambda t: (t.genre == t.guess).mean(), samples=99, seed=3)
    f1 = by_resampling(
        rows,
        lambda t: reference.f1_score(t.genre, t.guess, average="macro", zero_division=0),
        samples=99,
        seed=3,
    )
    assert found["ci95"] == pytest.approx(accuracy, abs=1e-6)
    assert found["f1_macro_ci95"] == pytest.approx(f1, abs=1e-6)


def test_pieces_of_one_song_do_not_make_an_interval_narrower() -> None:
    rows = predictions(60)
    segments, songs = (
        evaluation.measure(t, samples=500, seed=0)["ci95"]
        for t in (rows, rows.assign(group=rows["track_id"] + rows["segment"].astype(str)))
    )
    assert segments[1] - segments[0] > 1.5 * (songs[1] - songs[0])


def test_evaluate_gives_each_subset_at_both_levels() -> None:
    rows = predictions()
    found = evaluation.evaluate(rows, **DRAWN)
    assert {subset: set(levels) for subset, levels in found.items()} == {
        "validation": {"segment", "song"},
        "test": {"segment", "song"},
    }
    assert found["test"]["segment"]["n"] == 10 * found["test"]["song"]["n"]
    test = evaluation.by_song(rows[rows["subset"] == "test"])
    assert found["test"]["song"] == evaluation.measure(test, **DRAWN)


def test_a_song_is_the_mean_of_its_segments_at_its_temperature() -> None:
    rows = predictions()
    plain = evaluation.by_song(rows)
    cooled = evaluation.by_song(rows.assign(temperature=2.0))
    expected = evaluation.scale(evaluation.probabilities(plain), 2.0)
    np.testing.assert_allclose(evaluation.probabilities(cooled), expected, atol=1e-12)
    assert list(cooled) == list(plain)
    assert "temperature" not in plain


def test_the_confusion_matrix_and_the_pairs_it_ranks() -> None:
    rows = evaluation.by_song(predictions(200))
    guess = evaluation.predicted(rows)
    counts = evaluation.confusion(rows)
    expected = reference.confusion_matrix(rows["genre"].to_list(), list(guess), labels=GENRES)
    assert (counts.to_numpy() == expected).all()
    pairs = evaluation.most_confused(counts, pairs=3)
    np.fill_diagonal(expected, 0)
    assert pairs["n"].tolist() == sorted(expected.ravel(), reverse=True)[:3]
    first = pairs.iloc[0]
    assert counts.loc[first["actual"], first["predicted"]] == first["n"]
    assert first["share"] == pytest.approx(first["n"] / counts.loc[first["actual"]].sum(), abs=1e-6)


def test_the_table_by_genre_is_scikit_learns_and_names_the_worst_mistake() -> None:
    rows = evaluation.by_song(predictions(200))
    table = evaluation.per_genre(rows).set_index("genre")
    report = reference.classification_report(
        rows["genre"].to_list(), list(evaluation.predicted(rows)), output_dict=True, zero_division=0
    )
    for genre in GENRES:
        row = table.loc[genre]
        found = [row["precision"], row["recall"], row["f1"], row["n"]]
        names = ("precision", "recall", "f1-score", "support")
        assert found == pytest.approx([report[genre][name] for name in names], abs=1e-6)
        others = evaluation.confusion(rows).loc[genre].drop(genre)
        assert row["mistaken_for"] == others.idxmax()


def test_a_model_that_is_always_right_is_mistaken_for_nothing() -> None:
    rows = evaluation.by_song(predictions(40, skill=50))
    assert evaluation.per_genre(rows)["mistaken_for"].isna().all()
    assert evaluation.most_confused(evaluation.confusion(rows)).empty


@pytest.mark.parametrize(("skill", "hits"), [(50, 20), (-50, 0)])
def test_all_right_or_all_wrong_has_wilsons_interval_for_the_number_of_groups(
    skill: float, hits: int
) -> None:
    rows = predictions(40, skill=skill)
    assert rows["group"].nunique() == 20

    found = evaluation.measure(rows, **DRAWN)

    wilson = stats.binomtest(hits, 20).proportion_ci(method="wilson")
    assert found["ci95"] == pytest.approx([wilson.low, wilson.high], abs=1e-6)
    assert found["f1_macro_ci95"] == found["ci95"]
    assert found["ci95"][1] - found["ci95"][0] > 0.15


def test_one_group_has_a_wide_interval() -> None:
    rows = evaluation.by_song(predictions(4, skill=0)).assign(group="one")

    low, high = evaluation.measure(rows, **DRAWN)["ci95"]

    assert high - low > 0.7


def test_a_perfect_models_own_interval_in_a_comparison_has_a_width() -> None:
    perfect = predictions(40, skill=50)
    value, low, high = evaluation.compare(perfect, predictions(40, skill=0), **DRAWN).first
    assert (value, high) == (1, 1)
    assert 0.8 < low < 0.9


def test_a_better_model_is_distinguished_from_a_worse_one_and_from_itself() -> None:
    good, bad = predictions(200, skill=3), predictions(200, skill=0)
    found = evaluation.compare(good, bad, **DRAWN)
    scores = [evaluation.measure(evaluation.by_song(t), **DRAWN)["f1_macro"] for t in (good, bad)]
    assert found.estimate == pytest.approx(scores[0] - scores[1], abs=1e-5)
    assert 0 < found.low < found.estimate < found.high
    assert (found.songs, found.groups) == (200, 100)
    same = evaluation.compare(good, good, **DRAWN)
    assert (same.estimate, same.low, same.high) == (0, 0, 0)
    mirrored = evaluation.compare(bad, good, **DRAWN)
    assert mirrored.low == pytest.approx(-found.high)


def test_models_of_different_genres_can_be_compared() -> None:
    rows = predictions(60)
    wider = rows.assign(p_polka=0.0)
    assert evaluation.compare(wider, rows, **DRAWN).estimate == 0


def test_models_are_only_compared_on_the_same_songs() -> None:
    rows = predictions(20)
    with pytest.raises(InputError, match="found 20 and 19 songs"):
        evaluation.compare(rows, rows[rows["track_id"] != "s003"], **DRAWN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_jazz": np.nan}, "not finite"),
        ({"p_jazz": 0.9}, "not probabilities"),
        ({"p_jazz": -0.1}, "not probabilities"),
        ({"genre": "polka"}, "was not trained on polka"),
    ],
)
def test_an_invalid_table_of_predictions_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluation.validate(predictions(5).assign(**change))
    with pytest.raises(InputError, match="no column group"):
        evaluation.validate(predictions(5).drop(columns="group"))
