"""Drift: distances against values worked out by hand and SciPy's, and what is called drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genre.drift import finding, measures, page
from genre.drift.reference import Reference, make
from genre.params import DriftParams, load_params

NAMES = tuple(f"column_{number:02}" for number in range(40))


@pytest.fixture(scope="module")
def settings(project: Path) -> DriftParams:
    return load_params(project / "params.yaml").drift


def values(songs: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Columns that hang together: a common part, and noise of their own."""
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
    """A table of new songs, answered as surely as the held-out ones, or not."""
    table = values(songs, seed, shift)
    beta = (8, 2) if sure else (3, 5)
    table.insert(0, "confidence", np.random.default_rng(seed).beta(*beta, size=songs))
    table.insert(0, "genre", "jazz")
    table.insert(0, "sha256", [f"{seed}-{number}" for number in range(songs)])
    table.insert(0, "path", [f"{folder}{number}.wav" for number in range(songs)])
    return table


def test_the_stability_index_is_that_of_a_scorecard_worked_out_by_hand() -> None:
    # (.5-.2)·ln(.5/.2) + (.3-.3)·ln(1) + (.2-.5)·ln(.2/.5) = 0.6·ln(2.5)
    assert measures.stability_index([20, 30, 50], [5, 3, 2]) == pytest.approx(0.6 * np.log(2.5))
    assert measures.stability_index([20, 30, 50], [2, 3, 5]) == pytest.approx(0)


def test_an_empty_bin_counts_as_a_ten_thousandth() -> None:
    expected = (0.5 - 0.0001) * np.log(0.5 / 0.0001) + 0.5 * np.log(2)

    assert measures.stability_index([1, 1], [0, 4]) == pytest.approx(expected)
    assert measures.stability_index([0, 4], [1, 1]) == pytest.approx(expected)


def test_bins_are_the_deciles_of_the_reference() -> None:
    reference = np.arange(1.0, 101.0)

    edges = measures.inner_edges(reference)

    assert edges.tolist() == list(range(10, 100, 10))
    assert measures.counts(reference, edges).tolist() == [10] * 10
    assert measures.counts(np.array([-5.0, 1e9]), edges).tolist() == [1, *[0] * 8, 1]


def test_values_that_repeat_make_fewer_bins_and_no_empty_ones() -> None:
    reference = np.repeat([1.0, 2.0, 3.0], [60, 30, 10])

    edges = measures.inner_edges(reference)

    assert edges.tolist() == [1.0, 2.0]
    assert measures.counts(reference, edges).tolist() == [60, 30, 10]


def test_a_column_that_never_changed_has_drifted_to_either_side() -> None:
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
    # p·m/rank·(1 + 1/2 + 1/3), made to rise from the end
    assert measures.corrected([0.01, 0.02, 0.5]) == pytest.approx([0.055, 0.055, 11 / 12])
    assert len(measures.corrected([])) == 0


def test_chance_alone_gives_few_songs_a_high_index() -> None:
    of = {songs: measures.index_by_chance((70,) * 10, songs) for songs in (20, 100, 1000)}

    assert of[20] > of[100] > of[1000]
    assert of[20] > 0.25
    # The limit law: chi-squared with 9 degrees of freedom, times 1/songs + 1/reference.
    assert of[1000] == pytest.approx(stats.chi2.ppf(0.95, 9) * (1 / 1000 + 1 / 700), rel=0.1)


def test_songs_like_those_of_training_raise_no_alarm(reference, settings) -> None:
    alarms = [
        finding.compare(reference, new_songs(count, seed=seed), settings).drift
        for seed in range(2, 12)
        for count in (50, 200)
    ]

    assert not any(alarms)


def test_songs_that_are_all_shifted_raise_one(reference, settings) -> None:
    found = finding.compare(reference, new_songs(100, shift=2.0), settings)

    assert found.drift
    assert [sign.kind for sign in found.signs] == [finding.COLUMNS]
    assert len(found.drifted) > 20
    assert f"{len(found.drifted)} of 40 columns have drifted" in page.verdict(found)


def test_a_single_column_that_has_drifted_is_named_and_is_no_alarm(reference, settings) -> None:
    songs = new_songs(100)
    songs["column_07"] += 10

    found = finding.compare(reference, songs, settings)

    assert [column.name for column in found.drifted] == ["column_07"]
    assert found.columns[0].name == "column_07"
    assert not found.drift


def test_answers_that_are_unsure_more_often_raise_one(reference, settings) -> None:
    found = finding.compare(reference, new_songs(100, sure=False), settings)

    assert [sign.kind for sign in found.signs] == [finding.CONFIDENCE]
    assert found.unsure.low < found.unsure.share < found.unsure.high
    assert found.own_unsure.songs == 100
    wilson = stats.binomtest(found.unsure.count, 100).proportion_ci(method="wilson")
    assert (found.unsure.low, found.unsure.high) == (wilson.low, wilson.high)


def test_genres_that_the_version_does_not_know_are_named(reference, settings) -> None:
    songs = pd.concat([new_songs(55, folder="Jazz/"), new_songs(5, seed=2, folder="techno/")])

    found = finding.compare(reference, songs, settings)

    assert (found.known, found.unknown) == ({"Jazz": 55}, {"techno": 5})
    assert [sign.kind for sign in found.signs] == [finding.GENRES]
    assert "5 of 60 songs are of genres that the version does not know: techno" in (
        page.verdict(found)
    )


def test_folders_none_of_which_is_a_genre_are_not_taken_for_genres(reference, settings) -> None:
    found = finding.compare(reference, new_songs(60, folder="my album/"), settings)

    assert found.unknown == {"my album": 60}
    assert not found.drift
    assert "not taken for genres" in page.markdown(found, settings, "music-genre version 1")


def test_few_songs_are_said_to_be_too_few_whatever_they_are(reference, settings) -> None:
    songs = new_songs(5, shift=9.0, folder="techno/", sure=False)

    found = finding.compare(reference, songs, settings)

    assert not found.drift
    assert not found.enough
    assert "5 songs compared, too few to speak of drift (drift.min_songs is 50)" in (
        page.verdict(found)
    )


def test_the_same_file_under_many_names_is_one_song(reference, settings) -> None:
    songs = pd.concat([new_songs(1, shift=9.0)] * 200)

    assert finding.compare(reference, songs, settings).songs == 1


def test_a_version_that_looks_at_pictures_alone_is_compared_by_its_answers(settings) -> None:
    reference = make(pd.DataFrame(index=range(9)), {"jazz": 9}, np.full(100, 0.9), "middle")

    found = finding.compare(reference, new_songs(60, sure=False), settings)

    assert found.columns == ()
    assert [sign.kind for sign in found.signs] == [finding.CONFIDENCE]
    assert "pictures alone" in page.markdown(found, settings, "music-genre version 1")


def test_a_genre_folder_of_any_name_does_not_break_the_page(reference, settings) -> None:
    songs = pd.concat(
        [new_songs(55, folder="jazz/"), new_songs(5, seed=2, folder="a|b\n<script>/")]
    )

    text = page.markdown(finding.compare(reference, songs, settings), settings, "version 1")

    assert "a\\|b &lt;script>" in text
    assert "<script>" not in text
