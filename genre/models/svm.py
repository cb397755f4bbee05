"""Support vector machine with an RBF kernel, on normalised and whitened features.

Trained by scikit-learn; prediction is numpy on its support vectors. Probabilities are fitted to
out-of-fold decision values, with songs and artists kept together in folds. Classes are balanced:
the collection's class frequencies are no prior for new songs, and they differ between folds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.core.params import SvmParams
from genre.models.base import Examples, Model, Progress
from genre.models.folds import NO_FOLD, fold_numbers
from genre.models.normalise import Normaliser, Whitener
from genre.models.pairwise import couple, fit_sigmoids, pairs

if TYPE_CHECKING:
    from sklearn.svm import SVC

    from genre.models.serialization import Reader

Floats = npt.NDArray[np.float64]

ROWS_TOGETHER = 1024  # rows whose kernel is in memory at once
# Gamma times the number of columns, as squared distances of whitened rows grow with it. Chosen on
# out-of-fold predictions at 57 columns, where it makes gamma 0.002.
AUTO_GAMMA = 0.114


class Svm(Model):
    """Yeo–Johnson → whitening within genres → RBF kernel → decisions of pairs → probabilities."""

    name = "svm"
    input = "features_3s"
    settings_type = SvmParams
    settings: SvmParams

    def _fit(self, train: Examples, _: Examples, seed: int, progress: Progress) -> None:
        self.normaliser = Normaliser().fit(train.X)
        normal = self.normaliser.transform(train.X)
        self.whitener = Whitener().fit(normal, train.y, self.settings.whitening)
        X = self.whitener.transform(normal)
        number = fold_numbers(train, self.settings.folds, seed)
        decisions = np.empty((len(X), len(pairs(len(self.classes)))))
        steps = self.settings.folds + 1
        for fold in range(self.settings.folds):
            inside = number == fold
            if inside.any():
                machine = self._machine().fit(X[~inside], train.y[~inside])
                decisions[inside] = self._decisions_of(machine, X[inside])
            progress(fold + 1, steps, f"calibration, fold {fold + 1} of {self.settings.folds}")
        scored = number != NO_FOLD
        self.sigmoids = fit_sigmoids(decisions[scored], train.y[scored], len(self.classes))
        machine = self._machine().fit(X, train.y)
        self.vectors = np.asarray(machine.support_vectors_, dtype=np.float64)
        self.dual = np.asarray(machine.dual_coef_, dtype=np.float64)
        self.counts = np.asarray(machine.n_support_, dtype=np.int64)
        self.intercepts = np.asarray(machine.intercept_, dtype=np.float64)
        progress(steps, steps, f"{len(self.vectors)} support vectors")

    @property
    def gamma(self) -> float:
        """Gamma of the RBF kernel; `auto` depends on the number of columns."""
        found = self.settings.gamma
        return AUTO_GAMMA / len(self.features) if found == "auto" else found

    def _machine(self) -> SVC:
        from sklearn.svm import SVC

        settings = self.settings
        return SVC(
            C=settings.C,
            gamma=self.gamma,
            class_weight="balanced",
            decision_function_shape="ovo",
            cache_size=500,
        )

    def _decisions_of(self, machine: SVC, X: Floats) -> Floats:
        found = np.asarray(machine.decision_function(X), dtype=np.float64)
        # For two classes, scikit-learn's positive decision value is for the second.
        return found if len(self.classes) > 2 else -found[:, np.newaxis]

    def _predict(self, X: npt.NDArray[Any]) -> Floats:
        rows = self.whitener.transform(self.normaliser.transform(X))
        return couple(self.decisions(rows), self.sigmoids, len(self.classes))

    def decisions(self, rows: Floats) -> Floats:
        """The decision values of whitened rows [shape=(n, pairs)], as of `SVC`."""
        coefficients = self._coefficients()
        lengths = (self.vectors**2).sum(axis=1)
        parts = [np.empty((0, coefficients.shape[1]))]
        for start in range(0, len(rows), ROWS_TOGETHER):
            part = rows[start : start + ROWS_TOGETHER]
            distances = (part**2).sum(axis=1)[:, np.newaxis] + lengths - 2 * part @ self.vectors.T
            kernel = np.exp(-self.gamma * np.maximum(distances, 0))
            parts.append(kernel @ coefficients + self.intercepts)
        found = np.concatenate(parts)
        return found if len(self.classes) > 2 else -found

    def _coefficients(self) -> Floats:
        """The dual coefficients of each pair [shape=(support vectors, pairs)].

        LIBSVM's compact array has the coefficient of a support vector of genre i against genre j
        in row j − 1 if i < j, else in row j.
        """
        ends = np.cumsum(self.counts)
        starts = ends - self.counts
        dense = np.zeros((len(self.vectors), len(self.intercepts)))
        for column, (one, other) in enumerate(pairs(len(self.classes))):
            of_one, of_other = slice(starts[one], ends[one]), slice(starts[other], ends[other])
            dense[of_one, column] = self.dual[other - 1, of_one]
            dense[of_other, column] = self.dual[one, of_other]
        return dense

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Normaliser, whitener, the SVM in scikit-learn's layout, and the sigmoids."""
        return {
            **self.normaliser.arrays(),
            **self.whitener.arrays(),
            "support.vectors": self.vectors,
            "support.dual": self.dual,
            "support.counts": self.counts,
            "intercepts": self.intercepts,
            "sigmoids": self.sigmoids,
        }

    def restore(self, reader: Reader) -> None:
        """Restore what `arrays` returned."""
        classes, features = len(self.classes), len(self.features)
        number = len(pairs(classes))
        self.normaliser = Normaliser().restore(reader, features)
        self.whitener = Whitener().restore(reader, features)
        self.vectors = reader.take("support.vectors", np.float64, (None, features))
        self.dual = reader.take("support.dual", np.float64, (classes - 1, len(self.vectors)))
        self.counts = reader.take("support.counts", np.int64, (classes,))
        self.intercepts = reader.take("intercepts", np.float64, (number,))
        self.sigmoids = reader.take("sigmoids", np.float64, (number, 2))
        if self.counts.min() < 0 or self.counts.sum() != len(self.vectors):
            raise reader.error("support.counts does not sum to the number of support vectors")
