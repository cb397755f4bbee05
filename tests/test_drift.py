"""Drift: distances against hand-computed and SciPy's values, alerts, and the kept reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genre.core.errors import InputError
from genre.core.params import DriftParams, load_params
from genre.drift import measures, page
from genre.drift.reference import ARRAYS, DESCRIPTION, MAX_SONGS, Reference, load, make, save
from genre.drift.report import COLUMNS, CONFIDENCE, GENRES, compare

NAMES = tuple(f"column_{number:02}" for number in range(40))


@pytest.fixture(scope="module")
def settings(project: Path) -> DriftParams:
    return load_params(project / "params.yaml").drift


def values(songs: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Correlated columns: a common part, and noise of their own."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(songs, 3)) @ np.random.default_rng(0).normal(size=(3, len(NAMES)))
    return pd.DataFrame(common + random.normal(size=common.shape) + shift, columns=list(NAMES))


@pytest.fixture(scope="module")
def reference() -> Reference:
    confidence = np.random.default_rng(1).beta(8, 2, size=100)
    return make(values(300, 0), {"jazz": 150, "rock": 150}, confidence, "middle")


def new_songs(
    songs: int, *, seed: int = 1, shift: float = 0.0, folder: str = "", sure: bool = True
) -> pd.DataFrame:
    """A table of new songs, predicted with the confidence of the held-out ones, or less."""
    table = values(songs, seed, shift)
    beta = (8, 2) if sure else (3, 5)
    table.insert(0, "confidence", np.random.default_rng(seed).beta(*beta, size=songs))
    table.insert(0, "genre", "jazz")
    table.insert(0, "sha256", [f"{seed}-{number}" for number in range(songs)])
    table.insert(0, "path", [f"{folder}{number}.wav" for number in range(songs)])
    return table


def test_the_stability_index_is_the_hand_computed_one() -> None:
    # (.5-.2)·ln(.5/.2) + (.3-.3)·ln(1) + (.2-.5)·ln(.2/.5) = 0.6·ln(2.5)
    assert measures.stability_index([20, 30, 50], [5, 3, 2]) == pytest.approx(0.6 * np.log(2.5))
    assert measures.stability_index([20, 30, 50], [2, 3, 5]) == pytest.approx(0)
    # An empty bin counts as a ten-thousandth.
    expected = (0.5 - 0.0001) * np.log(0.5 / 0.0001) + 0.5 * np.log(2)
    assert measures.stability_index([1, 1], [0, 4]) == pytest.approx(expected)
    assert measures.stability_index([0, 4], [1, 1]) == pytest.approx(expected)


def test_bins_are_the_deciles_of_the_reference() -> None:
    reference = np.arange(1.0, 101.0)

    edges = measures.inner_edges(reference)

    assert edges.tolist() == list(range(10, 100, 10))
    assert measures.counts(reference, edges).tolist() == [10] * 10
    assert measures.counts(np.array([-5.0, 1e9]), edges).tolist() == [1, *[0] * 8, 1]
    # Repeated values make fewer bins, and no empty ones.
    repeated = np.repeat([1.0, 2.0, 3.0], [60, 30, 10])
    assert measures.inner_edges(repeated).tolist() == [1.0, 2.0]


def test_a_constant_column_can_drift_to_either_side() -> None:
    reference = np.full(50, 0.5)

    assert measures.distance(reference, np.full(50, 0.5)).psi == 0
    for value in (0.4, 0.6):
        assert measures.distance(reference, np.full(50, value)).psi > 5


def test_the_test_is_scipys() -> None:
    random = np.random.default_rng(0)
    known, new = random.normal(size=80), random.normal(0.5, 1, size=60)

    found = measures.distance(known, new)

    expected = stats.ks_2samp(known, new)
    assert (found.ks, found.p) == (
        pytest.approx(expected.statistic),
        pytest.approx(expected.pvalue),
    )


def test_the_correction_is_benjamini_and_yekutielis() -> None:
    # p·m/rank·(1 + 1/2 + 1/3), cumulative minimum from the end
    assert measures.corrected([0.01, 0.02, 0.5]) == pytest.approx([0.055, 0.055, 11 / 12])
    assert len(measures.corrected([])) == 0


def test_the_index_of_few_songs_is_high_by_chance() -> None:
    of = {songs: measures.index_by_chance((70,) * 10, songs) for songs in (20, 100, 1000)}

    assert of[20] > of[100] > of[1000]
    assert of[20] > 0.25
    # The limit law: chi-squared with 9 degrees of freedom, times 1/songs + 1/reference.
    assert of[1000] == pytest.approx(stats.chi2.ppf(0.95, 9) * (1 / 1000 + 1 / 700), rel=0.1)


def test_songs_like_those_of_training_raise_no_alert(reference, settings) -> None:
    alerts = [
        compare(reference, new_songs(count, seed=seed), settings).alerts
        for seed in range(2, 8)
        for count in (50, 200)
    ]

    assert not any(alerts)


def test_songs_that_are_all_shifted_raise_one(reference, settings) -> None:
    report = compare(reference, new_songs(100, shift=2.0), settings)

    assert list(report.alerts) == [COLUMNS]
    assert len(report.drifted) > 20
    assert f"{len(report.drifted)} of 40 columns have drifted" in report.verdict


def test_a_single_column_that_has_drifted_is_named_without_an_alert(reference, settings) -> None:
    songs = new_songs(100)
    songs["column_07"] += 10

    report = compare(reference, songs, settings)

    assert [column.name for column in report.drifted] == ["column_07"]
    assert report.columns[0].name == "column_07"
    assert not report.alerts


def test_more_low_confidence_predictions_raise_an_alert(reference, settings) -> None:
    report = compare(reference, new_songs(100, sure=False), settings)

    assert list(report.alerts) == [CONFIDENCE]
    assert report.held_out.songs == 100
    wilson = stats.binomtest(report.low_confidence.count, 100).proportion_ci(method="wilson")
    assert (report.low_confidence.low, report.low_confidence.high) == (wilson.low, wilson.high)


def test_unknown_genres_are_named(reference, settings) -> None:
    songs = pd.concat([new_songs(55, folder="Jazz/"), new_songs(5, seed=2, folder="techno/")])

    report = compare(reference, songs, settings)

    assert (report.known, report.unknown) == ({"Jazz": 55}, {"techno": 5})
    assert list(report.alerts) == [GENRES]
    assert (
        "5 of 60 songs are of genres that the version was not trained on: techno" in report.verdict
    )


def test_folders_are_not_counted_as_genres_if_none_is_a_known_genre(reference, settings) -> None:
    report = compare(reference, new_songs(60, folder="my album/"), settings)

    assert report.unknown == {"my album": 60}
    assert not report.alerts
    assert "not counted as genres" in page.markdown(report, settings, "music-genre version 1")


def test_few_songs_raise_no_alert_whatever_they_are(reference, settings) -> None:
    report = compare(
        reference, new_songs(5, shift=9.0, folder="techno/", sure=False), settings, missing=3
    )

    assert not report.alerts
    assert "5 songs compared, too few to detect drift (drift.min_songs is 50)" in report.verdict
    assert "Not compared: 3 songs" in page.markdown(report, settings, "music-genre version 1")


def test_the_same_file_under_many_names_is_one_song(reference, settings) -> None:
    songs = pd.concat([new_songs(1, shift=9.0)] * 200)

    assert compare(reference, songs, settings).songs == 1


def test_a_version_without_feature_columns_is_compared_by_confidence(settings) -> None:
    reference = make(pd.DataFrame(index=range(9)), {"jazz": 9}, np.full(100, 0.9), "middle")

    report = compare(reference, new_songs(60, sure=False), settings)

    assert report.columns == ()
    assert list(report.alerts) == [CONFIDENCE]
    assert "no other inputs than spectrograms" in page.markdown(
        report, settings, "music-genre version 1"
    )


def test_a_genre_folder_of_any_name_does_not_break_the_page(reference, settings) -> None:
    songs = pd.concat(
        [new_songs(55, folder="jazz/"), new_songs(5, seed=2, folder="a|b\n<script>/")]
    )

    text = page.markdown(compare(reference, songs, settings), settings, "version 1")

    assert "a\\|b \\<script>" in text


def test_a_reference_is_read_as_it_was_written_and_always_the_same_bytes(reference, tmp_path):
    for name in ("a", "b"):
        save(reference, tmp_path / name)

    found = load(tmp_path / "a")

    assert list(found.columns) == list(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found.columns[name], reference.columns[name])
    np.testing.assert_array_equal(found.confidence, reference.confidence)
    assert (found.genres, found.position) == ({"jazz": 150, "rock": 150}, "middle")
    for name in (DESCRIPTION, ARRAYS):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_of_very_many_songs_enough_are_kept_to_show_the_distribution() -> None:
    many = np.random.default_rng(0).normal(size=50_001)

    kept = make(pd.DataFrame({"a": many}), {"jazz": 50_001}, many[:0], "start").columns["a"]

    assert len(kept) == MAX_SONGS
    assert stats.ks_2samp(kept, many).statistic < 1 / MAX_SONGS


def described(folder: Path, **changes) -> None:
    content = json.loads((folder / DESCRIPTION).read_text()) | changes
    (folder / DESCRIPTION).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / ARRAYS).write_bytes((f / ARRAYS).read_bytes()[:-8]), "damaged, or not"),
        (lambda f: (f / ARRAYS).write_bytes(b"\x80\x04."), "damaged, or not"),
        (lambda f: (f / ARRAYS).unlink(), "cannot be read"),
        (lambda f: (f / DESCRIPTION).unlink(), "cannot be read"),
        (lambda f: (f / DESCRIPTION).write_text("{"), "not a drift reference"),
        (lambda f: described(f, run="rm"), "run: Extra inputs"),
        (lambda f: described(f, rows=3), "expected {'columns': (3, 40)"),
    ],
)
def test_a_damaged_reference_is_refused(reference, tmp_path, damage, message) -> None:
    save(reference, tmp_path)

    damage(tmp_path)

    with pytest.raises(InputError) as raised:
        load(tmp_path)
    assert message in str(raised.value)
    assert "register the model again" in str(raised.value)
