"""How far new songs are from training songs: distances of columns, shares of unsure answers.

Values are float64 [shape=(songs,)], one a song, in any order. Songs count as independent: many
songs of one album are fewer than they look.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

BINS = 10
EMPTY = 1e-4  # share that stands for none
DRAWS = 2_000  # behind `by_chance`
CHANCE = 0.95  # of draws that stay below it
INTERVAL = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """How far a column's new values are from the reference's.

    `psi` is the population stability index, `psi_by_chance` what it stays below in 95 of 100 draws
    of as many songs from where the reference comes from; `ks` is the greatest distance between the
    two cumulative distributions, from 0 to 1, and `p` how likely one that great is by chance.
    """

    psi: float
    psi_by_chance: float
    ks: float
    p: float


@dataclass(frozen=True)
class Share:
    """A share of songs with its 95 % interval: `count` of `songs`."""

    count: int
    songs: int
    share: float
    low: float
    high: float


def inner_edges(reference: Floats, bins: int = BINS) -> Floats:
    """The quantiles of `reference` that part it into `bins` equal shares [shape=(≤ bins - 1,)].

    Each is a value of the reference, and values equal to an edge lie below it, so no bin of the
    reference is empty; there are fewer where values repeat. A column that never changes gets one
    bin for its value, one below and one above it.
    """
    quantiles = np.quantile(reference, np.arange(1, bins) / bins, method="inverted_cdf")
    edges = np.unique(quantiles)
    if reference.min() == reference.max():
        edges = np.array([np.nextafter(edges[0], -np.inf), edges[0]])
    else:
        edges = edges[edges < reference.max()]
    return np.asarray(edges, dtype=np.float64)


def counts(values: Floats, edges: Floats) -> npt.NDArray[np.int64]:
    """How many values lie between the edges [shape=(edges + 1,)]."""
    places = np.searchsorted(edges, values, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.int64)


def stability_index(expected: npt.ArrayLike, found: npt.ArrayLike) -> Floats:
    """The population stability index of counts [shape=(…, bins)]: one value a row.

    The sum over bins of (found - expected) · ln(found / expected), in shares (Siddiqi, "Credit
    Risk Scorecards", 2006). Shares of nothing are taken as 0.0001, the custom that Evidently, for
    one, follows, for the logarithm has no value there.
    """
    e, f = (np.asarray(one, dtype=np.float64) for one in (expected, found))
    e, f = e / e.sum(axis=-1, keepdims=True), f / f.sum(axis=-1, keepdims=True)
    e, f = np.where(e > 0, e, EMPTY), np.where(f > 0, f, EMPTY)
    return np.asarray(((f - e) * np.log(f / e)).sum(axis=-1))


@lru_cache(maxsize=1024)
def index_by_chance(expected: tuple[int, ...], songs: int) -> float:
    """What the index of `songs` songs stays below in 95 of 100 draws where nothing has drifted.

    `expected` are the reference's counts. Few songs leave bins empty and move shares, so that the
    index is far above 0 without any drift: about chi-squared with `bins - 1` degrees of freedom
    times (1/songs + 1/reference songs) (Yurdakul, "Statistical Properties of Population Stability
    Index", 2018), and more where bins are empty. Here it is drawn: true shares from the Dirichlet
    distribution of the reference's counts, songs from those shares; the same draws every time.
    """
    random = np.random.default_rng(0)
    known = np.array([count for count in expected if count], dtype=np.float64)
    shares = random.dirichlet(known, size=DRAWS)
    drawn = random.multinomial(songs, shares)
    return float(np.quantile(stability_index(known, drawn), CHANCE))


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
    """`p` [shape=(tests,)] corrected for how many tests there are: Benjamini and Yekutieli (2001).

    Columns hang together in ways that nobody knows; this correction holds whatever they are. Of
    the columns below a level, at most that share is there by chance on average; and where nothing
    has drifted, the chance that any column is below it is at most the level.
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p, dtype=np.float64)
    return np.asarray(false_discovery_control(values, method="by")) if len(values) else values


def share(count: int, songs: int) -> Share:
    """`count` of `songs` with Wilson's 95 % interval (1927)."""
    from scipy.stats import binomtest

    bounds = binomtest(count, songs).proportion_ci(INTERVAL, method="wilson")
    return Share(count, songs, count / songs, float(bounds.low), float(bounds.high))


def more_often(new: Share, own: Share) -> float:
    """How likely a share as much above `own` as `new` is by chance: Fisher's exact test, one-sided.

    Both may come from few songs, which the test counts.
    """
    from scipy.stats import fisher_exact

    table = [[one.count, one.songs - one.count] for one in (new, own)]
    return float(fisher_exact(table, alternative="greater").pvalue)
