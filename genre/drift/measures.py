"""Distances of columns, and shares of low-confidence predictions.

Values are float64 [shape=(songs,)], one a song, in any order. Songs count as independent: many
songs of one album are fewer independent ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

BINS = 10
EMPTY = 1e-4  # the share that an empty bin counts as
DRAWS = 2_000  # behind `psi_by_chance`
CHANCE = 0.95  # the share of draws that stay below it
INTERVAL = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """The distance of a column's new values from the reference's.

    `psi` is the population stability index, and `psi_by_chance` what it stays below in 95 of 100
    draws of as many songs from the reference's own distribution. `ks` is the Kolmogorov-Smirnov
    statistic (0 to 1) and `p` its p-value.
    """

    psi: float
    psi_by_chance: float
    ks: float
    p: float


@dataclass(frozen=True)
class Share:
    """A share of songs, `count` of `songs`, with its 95 % interval."""

    count: int
    songs: int
    share: float
    low: float
    high: float


def inner_edges(reference: Floats, bins: int = BINS) -> Floats:
    """The quantiles that divide `reference` into `bins` equal shares [shape=(≤ bins - 1,)].

    Each is a value of the reference, and values equal to an edge lie below it, so no bin of the
    reference is empty; there are fewer if values repeat. A constant column gets one bin for its
    value, one below and one above it.
    """
    if reference.min() == reference.max():
        return np.array([np.nextafter(reference[0], -np.inf), reference[0]])
    quantiles = np.quantile(reference, np.arange(1, bins) / bins, method="inverted_cdf")
    edges = np.unique(quantiles)
    return np.asarray(edges[edges < reference.max()], dtype=np.float64)


def counts(values: Floats, edges: Floats) -> npt.NDArray[np.int64]:
    """The number of values in each bin [shape=(edges + 1,)]."""
    bins = np.searchsorted(edges, values, side="left")
    return np.bincount(bins, minlength=len(edges) + 1).astype(np.int64)


def stability_index(expected: npt.ArrayLike, found: npt.ArrayLike) -> Floats:
    """The population stability index of counts [shape=(…, bins)]: one value per row.

    The sum over bins of (found - expected) · ln(found / expected), in shares (Siddiqi, "Credit
    Risk Scorecards", 2006). An empty bin counts as a share of 0.0001, as in Evidently, because the
    logarithm of 0 has no value.
    """
    e, f = (np.asarray(one, dtype=np.float64) for one in (expected, found))
    e, f = e / e.sum(axis=-1, keepdims=True), f / f.sum(axis=-1, keepdims=True)
    e, f = np.where(e > 0, e, EMPTY), np.where(f > 0, f, EMPTY)
    return np.asarray(((f - e) * np.log(f / e)).sum(axis=-1))


@lru_cache(maxsize=1024)
def index_by_chance(expected: tuple[int, ...], songs: int) -> float:
    """The 95 % quantile of the index of `songs` songs if nothing has drifted.

    `expected` are the reference's counts. With few songs the index is far above 0 without any
    drift: about chi-squared with `bins - 1` degrees of freedom times (1/songs + 1/reference songs)
    (Yurdakul, "Statistical Properties of Population Stability Index", 2018), and more if bins are
    empty. Here it is simulated: true shares from the Dirichlet distribution of the reference's
    counts, songs from those shares; the same draws every time.
    """
    random = np.random.default_rng(0)
    filled = np.array([count for count in expected if count], dtype=np.float64)
    drawn = random.multinomial(songs, random.dirichlet(filled, size=DRAWS))
    return float(np.quantile(stability_index(filled, drawn), CHANCE))


def distance(reference: Floats, values: Floats) -> Distance:
    """The distance of `values` from `reference`; neither is empty.

    The test is SciPy's two-sample Kolmogorov-Smirnov test: two-sided, exact up to 10 000 songs.
    """
    from scipy.stats import ks_2samp

    edges = inner_edges(reference)
    expected = counts(reference, edges)
    test = ks_2samp(values, reference)
    return Distance(
        psi=float(stability_index(expected, counts(values, edges))),
        psi_by_chance=index_by_chance(tuple(map(int, expected)), len(values)),
        ks=float(test.statistic),
        p=float(test.pvalue),
    )


def corrected(p: npt.ArrayLike) -> Floats:
    """`p` [shape=(tests,)] corrected for the number of tests: Benjamini and Yekutieli (2001).

    The correction holds whatever the dependence between columns: among the columns below a level,
    at most that share is there by chance on average.
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p, dtype=np.float64)
    return np.asarray(false_discovery_control(values, method="by")) if len(values) else values


def share(count: int, songs: int) -> Share:
    """`count` of `songs` with Wilson's 95 % interval (1927)."""
    from scipy.stats import binomtest

    bounds = binomtest(count, songs).proportion_ci(INTERVAL, method="wilson")
    return Share(count, songs, count / songs, float(bounds.low), float(bounds.high))


def more_often(new: Share, held_out: Share) -> float:
    """The p-value that `new` is above `known` by chance: Fisher's exact test, one-sided."""
    from scipy.stats import fisher_exact

    table = [[one.count, one.songs - one.count] for one in (new, held_out)]
    return float(fisher_exact(table, alternative="greater").pvalue)
