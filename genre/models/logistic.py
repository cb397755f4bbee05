"""Multinomial logistic regression, on normalised and whitened features.

The penalty acts on coefficients in the whitened space, where all directions have the same variance
within genres; so it does not depend on the number of columns and their correlations. Classes are
balanced: the collection's class frequencies are no prior for new songs.
"""

from __future__ import annotations

from typing import Any

from genre.core.params import LogisticParams
from genre.models.base import Examples
from genre.models.linear import Linear
from genre.models.normalise import Normaliser, Whitener

MAX_ITERATIONS = 1000
TOLERANCE = 1e-6  # of the gradient at which scikit-learn stops


class Logistic(Linear):
    """Yeo–Johnson → whitening within genres → scikit-learn's `LogisticRegression`.

    Whitening is linear, so it is part of the coefficients.
    """

    name = "logistic"
    input = "features_3s"
    settings_type = LogisticParams
    settings: LogisticParams

    def _fit(self, train: Examples, *_: Any) -> None:
        from sklearn.linear_model import LogisticRegression

        self.normaliser = Normaliser().fit(train.X)
        normal = self.normaliser.transform(train.X)
        whitener = Whitener().fit(normal, train.y, self.settings.whitening)
        regression = LogisticRegression(
            C=self.settings.C, class_weight="balanced", max_iter=MAX_ITERATIONS, tol=TOLERANCE
        ).fit(whitener.transform(normal), train.y)
        coefficients, intercepts = self.each_genre(regression)
        self.coefficients = coefficients @ whitener.matrix.T
        self.intercepts = intercepts - self.coefficients @ whitener.mean
