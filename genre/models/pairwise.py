"""Probabilities of genres from the one-vs-one decisions of a support vector machine.

Platt's sigmoid turns the decision value of each pair of genres into a probability, and pairwise
coupling finds the probabilities of genres that fit all pairs best. Pairs are ordered (0, 1),
(0, 2), …, (1, 2), …; a positive decision value is for the first.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SLOPE = 2.0  # without data: a genre has 88 % at the margin
CLIP = 1e-7  # probabilities of pairs are clipped to CLIP … 1 - CLIP, as in LIBSVM
SMALLEST = 1e-12  # probability


def pairs(classes: int) -> list[tuple[int, int]]:
    """The pairs of genres in their order."""
    return list(combinations(range(classes), 2))


def fit_sigmoids(decisions: Floats, y: npt.NDArray[np.int64], classes: int) -> Floats:
    """Slope and offset of each pair's sigmoid [shape=(pairs, 2)], from out-of-fold decision values.

    `decisions` is [shape=(n, pairs)]. Targets are smoothed as by Platt (1999), so that separable
    pairs do not get an infinite slope. Both genres of a pair have the same weight. If one has no
    row, the pair gets the mean slope of the others and no offset.
    """
    from sklearn.linear_model import LogisticRegression

    sigmoids = np.full((decisions.shape[1], 2), np.nan)
    for column, (one, other) in enumerate(pairs(classes)):
        rows = (y == one) | (y == other)
        first = y[rows] == one
        counts = first.sum(), (~first).sum()
        if not all(counts):
            continue
        target = np.where(first, (counts[0] + 1) / (counts[0] + 2), 1 / (counts[1] + 2))
        weight = len(first) / 2 / np.where(first, *counts)
        decision = decisions[rows, column]
        # A soft target is a row of each kind, weighted.
        sigmoid = LogisticRegression(C=1e6, max_iter=1000, tol=1e-8).fit(
            np.concatenate([decision, decision])[:, np.newaxis],
            np.repeat([1, 0], len(decision)),
            sample_weight=np.concatenate([weight * target, weight * (1 - target)]),
        )
        sigmoids[column] = sigmoid.coef_[0, 0], sigmoid.intercept_[0]
    unknown = np.isnan(sigmoids[:, 0])
    sigmoids[unknown] = (sigmoids[~unknown, 0].mean() if not unknown.all() else SLOPE), 0
    return sigmoids


def couple(decisions: Floats, sigmoids: Floats, classes: int) -> Floats:
    """Probabilities [shape=(n, classes)] by the second method of Wu, Lin and Weng (2004).

    They minimise Σ (r_ji p_i − r_ij p_j)² under Σ p = 1, where r_ij is the probability of genre i
    against genre j: one linear system per row.
    """
    from scipy.special import expit

    clipped = np.clip(expit(decisions * sigmoids[:, 0] + sigmoids[:, 1]), CLIP, 1 - CLIP)
    against = np.zeros((len(decisions), classes, classes))
    for column, (one, other) in enumerate(pairs(classes)):
        against[:, one, other] = clipped[:, column]
        against[:, other, one] = 1 - clipped[:, column]
    swapped = against.transpose(0, 2, 1)
    system = np.zeros((len(decisions), classes + 1, classes + 1))
    system[:, :classes, :classes] = -swapped * against
    diagonal = np.arange(classes)
    system[:, diagonal, diagonal] = (swapped**2).sum(axis=2)
    system[:, :classes, classes] = system[:, classes, :classes] = 1
    wanted = np.zeros((len(decisions), classes + 1, 1))
    wanted[:, classes] = 1
    solved = np.linalg.solve(system, wanted)[:, :classes, 0]
    proba = np.maximum(solved, SMALLEST)  # positive but for rounding
    return np.asarray(proba / proba.sum(axis=1, keepdims=True), dtype=np.float64)
