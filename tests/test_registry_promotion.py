"""The gate decides by facts alone."""

from __future__ import annotations

import pytest

from genre.evaluation import Comparison
from genre.promotion import CHALLENGER, CHAMPION, Champion, Decision, decide

GENRES = ("blues", "rock")


def judge(
    estimate: float, *, genres: tuple[str, ...] = GENRES, experiment: str | None = None
) -> Decision:
    """Decide about a model that is better by `estimate`; the champion knows `GENRES`."""
    found = Comparison(estimate, low=estimate - 0.1, high=estimate + 0.1, songs=20, groups=18)
    holder = Champion("3", GENRES, found)
    return decide(protocol="song", genres=genres, champion=holder, experiment=experiment)


def test_the_first_model_becomes_champion() -> None:
    decision = decide(protocol="song", genres=GENRES, champion=None)

    assert decision == Decision(CHAMPION, "there was no champion")


@pytest.mark.parametrize(
    ("estimate", "alias", "word"),
    [(0.01, CHAMPION, "better"), (0.0, CHALLENGER, "no better"), (-0.01, CHALLENGER, "worse")],
)
def test_the_better_model_on_the_same_songs_is_champion(
    estimate: float, alias: str, word: str
) -> None:
    decision = judge(estimate)

    assert decision.alias == alias
    assert decision.reason.startswith(f"{word}: song-level macro-F1 {estimate:+.3f} against")
    assert f"{estimate - 0.1:+.3f} to {estimate + 0.1:+.3f}" in decision.reason
    assert "on 20 validation songs that neither was trained on" in decision.reason


def test_a_champion_that_does_not_know_a_genre_of_today_gives_way_even_to_a_worse_model() -> None:
    decision = judge(-0.8, genres=("blues", "metal", "rock"))

    assert decision.alias == CHAMPION
    assert "does not know metal" in decision.reason


def test_a_champion_that_knows_more_genres_than_today_is_compared() -> None:
    assert judge(-0.8, genres=("blues",)).alias == CHALLENGER


def test_a_champion_whose_files_are_gone_gives_way() -> None:
    gone = Champion("3", (), obstacle="its files are gone")

    decision = decide(protocol="song", genres=GENRES, champion=gone)

    assert decision == Decision(CHAMPION, "version 3 cannot answer: its files are gone")


def test_a_champion_that_cannot_be_compared_stays_and_the_reason_is_told() -> None:
    heard = Champion("3", GENRES, obstacle="it was trained on every validation song of today")

    decision = decide(protocol="song", genres=GENRES, champion=heard)

    assert decision.alias == CHALLENGER
    assert "trained on every validation song" in decision.reason


@pytest.mark.parametrize("champion", [None, Champion("3", ())])
def test_a_leaky_protocol_is_never_promoted(champion: Champion | None) -> None:
    decision = decide(protocol="segment", genres=GENRES, champion=champion)

    assert decision.alias == CHALLENGER
    assert "split.protocol is segment" in decision.reason


def test_an_experiment_gets_no_alias_however_good_it_is() -> None:
    decision = judge(0.9, experiment="loud-cat")

    assert decision.alias is None
    assert "loud-cat" in decision.reason
