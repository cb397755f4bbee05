"""The promotion gate."""

from __future__ import annotations

from functools import partial

import pytest

from genre.evaluation import Comparison
from genre.registry.promotion import CHALLENGER, CHAMPION, Champion, Decision, Policy
from genre.registry.promotion import decide as decide_by

GENRES = ("blues", "rock")
decide = partial(decide_by, policy="not_worse", margin=0.05)


def judge(
    estimate: float,
    low: float | None = None,
    *,
    policy: Policy = "not_worse",
    genres: tuple[str, ...] = GENRES,
    experiment: str | None = None,
    groups: int = 18,
) -> Decision:
    """Decide about a model that is better by `estimate`; the champion has `GENRES`."""
    low = estimate - 0.04 if low is None else low
    scores = (0.5 + estimate, 0.4, 0.9), (0.5, 0.4, 0.6)
    found = Comparison(estimate, low, 2 * estimate - low, 20, groups, *scores)
    return decide_by(
        protocol="song",
        genres=genres,
        champion=Champion("3", GENRES, found),
        policy=policy,
        margin=0.05,
        experiment=experiment,
    )


def test_the_first_model_becomes_champion() -> None:
    decision = decide(protocol="song", genres=GENRES, champion=None)

    assert decision == Decision(CHAMPION, "there was no champion")


@pytest.mark.parametrize(
    ("estimate", "low", "alias", "verdict"),
    [
        (0.10, 0.02, CHAMPION, "better"),
        (0.02, -0.04, CHAMPION, "better"),
        (0.02, -0.05, CHALLENGER, "better, but not significantly"),
        (0.0, 0.0, CHAMPION, "as good"),
        (0.0, -0.04, CHAMPION, "as good"),
        (0.0, -0.06, CHALLENGER, "as good, but not significantly"),
        (-0.01, -0.02, CHALLENGER, "worse"),
        (-0.30, -0.40, CHALLENGER, "worse"),
    ],
)
def test_not_worse_requires_no_loss_and_a_lower_end_above_the_margin(
    estimate: float, low: float, alias: str, verdict: str
) -> None:
    decision = judge(estimate, low)

    assert decision.alias == alias
    assert decision.reason.startswith(f"{verdict}: song-level macro-F1 {estimate:+.3f} against")
    assert f"(95 % interval {low:+.3f} to " in decision.reason
    assert "on 20 validation songs that neither was trained on" in decision.reason


@pytest.mark.parametrize(
    ("estimate", "low", "alias", "verdict"),
    [
        (0.10, 0.02, CHAMPION, "better"),
        (0.10, 0.0, CHALLENGER, "better, but not significantly"),
        (0.10, -0.01, CHALLENGER, "better, but not significantly"),
        (0.0, 0.0, CHALLENGER, "no better"),
        (-0.10, -0.2, CHALLENGER, "worse"),
    ],
)
def test_superior_requires_an_interval_above_zero(
    estimate: float, low: float, alias: str, verdict: str
) -> None:
    decision = judge(estimate, low, policy="superior")

    assert decision.alias == alias
    assert decision.reason.startswith(f"{verdict}: ")


def test_the_reason_of_a_challenger_names_the_policy() -> None:
    refused = judge(0.02, -0.08).reason, judge(0.02, -0.08, policy="superior").reason

    assert refused[0].endswith("register.policy not_worse requires a lower end above -0.05")
    assert refused[1].endswith("register.policy superior requires a lower end above 0")


def test_scores_that_differ_by_rounding_are_equal() -> None:
    assert judge(-1e-16, -1e-16).alias == CHAMPION
    assert judge(1e-16, 1e-16, policy="superior").alias == CHALLENGER


def test_songs_of_a_single_group_decide_nothing_because_their_interval_has_no_width() -> None:
    decision = judge(0.5, 0.5, groups=1)

    assert decision.alias == CHALLENGER
    assert decision.reason.startswith("too few songs to tell")


@pytest.mark.parametrize("genres", [GENRES, ("blues", "metal", "rock")])
def test_a_model_with_fewer_feature_families_stays_challenger_however_good(
    genres: tuple[str, ...],
) -> None:
    found = Comparison(0.3, 0.2, 0.4, 20, 18, (0.8, 0.7, 0.9), (0.5, 0.4, 0.6))
    champion = Champion("3", GENRES, found, families=("extended", "musicnn"))

    decision = decide(protocol="song", genres=genres, champion=champion, families=["extended"])

    assert decision.alias == CHALLENGER
    assert decision.reason == (
        "fewer feature families (extended) than version 3 (extended, musicnn)"
    )
    assert (decision.against, decision.comparison) == ("3", found)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (("report",), ("extended", "musicnn")),
        (("report",), ("extended",)),
        (("extended", "musicnn"), ("report", "musicnn")),
        (("extended", "musicnn"), ()),  # its inputs are pictures
        ((), ("extended",)),
    ],
)
def test_as_many_feature_families_or_none_leave_the_decision_to_the_scores(
    before: tuple[str, ...], now: tuple[str, ...]
) -> None:
    found = Comparison(0.3, 0.2, 0.4, 20, 18, (0.8, 0.7, 0.9), (0.5, 0.4, 0.6))
    champion = Champion("3", GENRES, found, families=before)

    decision = decide(protocol="song", genres=GENRES, champion=champion, families=now)

    assert decision.alias == CHAMPION


def test_a_champion_without_one_of_todays_genres_is_replaced_even_by_a_worse_model() -> None:
    decision = judge(-0.8, genres=("blues", "metal", "rock"))

    assert decision.alias == CHAMPION
    assert "was not trained on today's genres metal" in decision.reason


def test_a_champion_with_more_genres_than_today_is_compared() -> None:
    assert judge(-0.8, genres=("blues",)).alias == CHALLENGER


def test_a_champion_whose_files_are_gone_stays() -> None:
    gone = Champion("3", (), obstacle="its files are gone", usable=False)

    decision = decide(protocol="song", genres=GENRES, champion=gone)

    reason = "it cannot be compared with version 3: its files are gone"
    assert decision == Decision(CHALLENGER, reason, blocked=True)


def test_a_champion_that_cannot_be_compared_stays_with_the_reason() -> None:
    trained = Champion("3", GENRES, obstacle="it was trained on every validation song of today")

    decision = decide(protocol="song", genres=GENRES, champion=trained)

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
