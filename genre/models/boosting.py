"""Gradient boosting, trained by scikit-learn; prediction is numpy on flat arrays of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.core.params import BoostingParams
from genre.models.base import Examples, Model, Progress, softmax

if TYPE_CHECKING:
    from genre.models.serialization import Reader

ROWS_TOGETHER = 1024  # rows that are predicted at once
LEAF = -1  # in place of a child


class Boosting(Model):
    """scikit-learn's `GradientBoostingClassifier`: one tree per genre and round (one for two).

    A node has a feature and a threshold: rows up to the threshold go left. The nodes of all trees
    are in one array, each tree from its root on; children come after their parent.
    """

    name = "boosting"
    input = "features_3s"
    settings_type = BoostingParams
    settings: BoostingParams

    def _fit(self, train: Examples, _: Examples, seed: int, progress: Progress) -> None:
        from sklearn.ensemble import GradientBoostingClassifier

        settings = self.settings.model_dump()
        # init="zero": the collection's class frequencies are no prior for new songs.
        boosting = GradientBoostingClassifier(init="zero", random_state=seed, **settings)
        rounds = self.settings.n_estimators

        def monitor(number: int, *_: Any) -> bool:
            progress(number + 1, rounds, f"tree {number + 1} of {rounds}")
            return False

        boosting.fit(train.X.astype(np.float32), train.y, monitor=monitor)
        trees = [estimator.tree_ for estimator in boosting.estimators_.ravel()]
        sizes = np.array([tree.node_count for tree in trees], dtype=np.int64)
        self.roots = np.cumsum(sizes) - sizes
        offsets = np.repeat(self.roots, sizes)

        def together(attribute: str) -> npt.NDArray[Any]:
            return np.concatenate([getattr(tree, attribute) for tree in trees])

        def children(attribute: str) -> npt.NDArray[np.int64]:
            found = together(attribute).astype(np.int64)
            return np.where(found < 0, LEAF, found + offsets)

        self.left, self.right = children("children_left"), children("children_right")
        self.feature = np.maximum(together("feature"), 0).astype(np.int64)
        self.threshold = together("threshold").astype(np.float64)
        self.value = together("value").reshape(-1).astype(np.float64)

    def _predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        rows = X.astype(np.float32)  # as scikit-learn reads them
        parts = [np.empty((0, len(self.classes)))]
        for start in range(0, len(rows), ROWS_TOGETHER):
            parts.append(self._sum_of_trees(rows[start : start + ROWS_TOGETHER]))
        return softmax(np.concatenate(parts))

    def _sum_of_trees(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        nodes = np.tile(self.roots, (len(rows), 1))
        row = np.arange(len(rows))[:, np.newaxis]
        for _ in range(self.settings.max_depth):
            goes_left = rows[row, self.feature[nodes]] <= self.threshold[nodes]
            below = np.where(goes_left, self.left[nodes], self.right[nodes])
            nodes = np.where(below == LEAF, nodes, below)
        columns = len(self.roots) // self.settings.n_estimators
        values = self.value[nodes].reshape(len(rows), self.settings.n_estimators, columns)
        found = values.sum(axis=1) * self.settings.learning_rate
        return found if columns > 1 else np.hstack([np.zeros_like(found), found])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The nodes of all trees, and the root of each tree."""
        return {
            "roots": self.roots,
            "left": self.left,
            "right": self.right,
            "feature": self.feature,
            "threshold": self.threshold,
            "value": self.value,
        }

    def restore(self, reader: Reader) -> None:
        """Restore what `arrays` returned; every child must come after its parent."""
        columns = len(self.classes) if len(self.classes) > 2 else 1
        self.roots = reader.take("roots", np.int64, (self.settings.n_estimators * columns,))
        self.left = reader.take("left", np.int64, (None,))
        size = len(self.left)
        self.right = reader.take("right", np.int64, (size,))
        self.feature = reader.take("feature", np.int64, (size,))
        self.threshold = reader.take("threshold", np.float64, (size,))
        self.value = reader.take("value", np.float64, (size,))
        node = np.arange(size)
        for children in (self.left, self.right):
            valid = (children == LEAF) | ((children > node) & (children < size))
            if not valid.all():
                raise reader.error("a node of a tree has an invalid child")
        inside = (self.feature >= 0) & (self.feature < len(self.features))
        if not (inside.all() and self.roots.min() >= 0 and self.roots.max() < size):
            raise reader.error("a tree has an invalid feature or root")
