"""Intervals by bootstrap over groups (Efron and Tibshirani 1993, percentile method).

A draw takes as many groups as there are, with replacement; all rows of a group come along. Scores
of a draw are computed from the counts of its groups alone, so that a thousand draws are a few
matrix products.

If all groups score the same, as when every song is classified correctly, so do all draws, and the
bootstrap gives an interval without any width. The interval is then Wilson's (1927) for that score
with the number of groups as n: close to its nominal coverage also for few groups (Brown, Cai and
DasGupta 2001). Ten songs of ten correct: 72 to 100 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.evaluation.predictions import by_song, predicted

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
TOGETHER = 100  # draws held in memory at once
SAME = 1e-9  # equal scores, summed in another order, differ by less

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """What the scores of any draw of groups can be computed from.

    `hits`, `truth` and `guesses` count the rows of each group and genre: those predicted rightly,
    those of the genre, those predicted as it [each shape=(groups, genres)].
    """

    hits: Counts
    truth: Counts
    guesses: Counts

    def draw(self, weights: Counts) -> Tally:
        """The tallies of draws: `weights` [shape=(draws, groups)] says how often each was taken."""
        return Tally(weights @ self.hits, weights @ self.truth, weights @ self.guesses)

    def accuracy(self) -> npt.NDArray[np.float64]:
        """The accuracy of each draw [shape=(draws,)]."""
        return np.asarray(self.hits.sum(axis=1) / self.truth.sum(axis=1), dtype=np.float64)

    def f1_macro(self) -> npt.NDArray[np.float64]:
        """The macro-F1 of each draw [shape=(draws,)], of the genres that occur in it."""
        both = self.truth + self.guesses
        f1 = np.divide(2 * self.hits, both, out=np.zeros_like(both), where=both > 0)
        return np.asarray(f1.sum(axis=1) / (both > 0).sum(axis=1), dtype=np.float64)


def tally(groups: npt.NDArray[Any], truth: npt.NDArray[Any], guess: npt.NDArray[Any]) -> Tally:
    """Count rows by group and genre; the three arrays have shape=(n,)."""
    labels, group = np.unique(groups.astype(str), return_inverse=True)
    genres = np.unique(np.concatenate([truth, guess]).astype(str))
    true, guessed = (
        np.searchsorted(genres, truth.astype(str)),
        np.searchsorted(genres, guess.astype(str)),
    )
    shape = (len(labels), len(genres))

    def count(of: npt.NDArray[Any], rows: npt.NDArray[Any]) -> Counts:
        cells = np.bincount(group[rows] * shape[1] + of[rows], minlength=shape[0] * shape[1])
        return cells.reshape(shape).astype(np.float64)

    every = np.ones(len(truth), dtype=bool)
    return Tally(count(true, true == guessed), count(true, every), count(guessed, every))


def draws(groups: int, *, samples: int, seed: int) -> Iterator[Counts]:
    """Blocks of draws: how often each group was taken, float64 [shape=(up to TOGETHER, groups)]."""
    random = np.random.default_rng(seed)
    even = np.full(groups, 1 / groups)
    for start in range(0, samples, TOGETHER):
        size = min(TOGETHER, samples - start)
        yield random.multinomial(groups, even, size=size).astype(np.float64)


def intervals(counts: Tally, *, samples: int, seed: int) -> tuple[list[float], list[float]]:
    """The 95 % intervals of accuracy and of macro-F1, each `[low, high]`."""
    groups = len(counts.hits)
    taken = [counts.draw(weights) for weights in draws(groups, samples=samples, seed=seed)]
    return (
        score_interval(np.concatenate([draw.accuracy() for draw in taken]), groups),
        score_interval(np.concatenate([draw.f1_macro() for draw in taken]), groups),
    )


def score_interval(drawn: npt.NDArray[np.float64], groups: int) -> list[float]:
    """The 95 % interval of a score, from its value in each draw of `groups` groups."""
    if np.ptp(drawn) > SAME:
        return interval(drawn)
    return wilson(float(drawn[0]), groups)


def wilson(share: float, n: int) -> list[float]:
    """Wilson's 95 % score interval `[low, high]` of a share (0 to 1) of `n`."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = share + z**2 / (2 * n)
    half = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    low, high = ((centre + side * half) / (1 + z**2 / n) for side in (-1, 1))
    return [max(low, 0.0), min(high, 1.0)]


def interval(values: npt.NDArray[np.float64]) -> list[float]:
    """The middle 95 % of `values` as `[low, high]`."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]


@dataclass(frozen=True)
class Comparison:
    """How much better the first of two models is: a difference of song-level macro-F1.

    `low` and `high` bound its 95 % interval; `songs` were compared, of `groups` groups. `first` and
    `second` are the macro-F1 of each, with its own 95 % interval as `[value, low, high]`.
    """

    estimate: float
    low: float
    high: float
    songs: int
    groups: int
    first: tuple[float, float, float]
    second: tuple[float, float, float]


def compare(one: pd.DataFrame, other: pd.DataFrame, *, samples: int, seed: int) -> Comparison:
    """Compare two models on the same songs by a paired bootstrap over the groups of `one`.

    Both are predictions of one model; they may know different genres. Raises `InputError` where
    they are not of the same songs with the same genres.
    """
    songs, others = (
        by_song(table).sort_values("track_id", ignore_index=True) for table in (one, other)
    )
    keys = ["track_id", "genre"]
    if not len(songs) or not songs[keys].equals(others[keys]):
        raise InputError(
            f"cannot compare models: found {len(songs)} and {len(others)} songs, expected the "
            "same songs with the same genres in both"
        )
    groups, truth = songs["group"].to_numpy(), songs["genre"].to_numpy()
    first, second = (tally(groups, truth, predicted(table)) for table in (songs, others))
    number = len(first.hits)
    drawn = np.concatenate(
        [
            np.stack([first.draw(weights).f1_macro(), second.draw(weights).f1_macro()], axis=1)
            for weights in draws(number, samples=samples, seed=seed)
        ]
    )
    low, high = interval(drawn[:, 0] - drawn[:, 1])
    ours, theirs = _score(first, drawn[:, 0]), _score(second, drawn[:, 1])
    return Comparison(ours[0] - theirs[0], low, high, len(songs), number, ours, theirs)


def _score(counts: Tally, drawn: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    low, high = score_interval(drawn, len(counts.hits))
    return _whole(counts).f1_macro().item(), low, high


def _whole(counts: Tally) -> Tally:
    return counts.draw(np.ones((1, len(counts.hits))))
