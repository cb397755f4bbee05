"""Linear discriminant analysis with a shrunk covariance, on normalised features.

It has few parameters, which helps if songs are few and test artists are new. Priors are equal: the
collection's class frequencies are no prior for new songs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genre.core.params import LdaParams
from genre.models.base import Examples
from genre.models.linear import Linear
from genre.models.normalise import Normaliser


class Lda(Linear):
    """Yeo–Johnson → scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr")`."""

    name = "lda"
    input = "features_3s"
    settings_type = LdaParams
    settings: LdaParams

    def _fit(self, train: Examples, *_: Any) -> None:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        self.normaliser = Normaliser().fit(train.X)
        even = np.full(len(self.classes), 1 / len(self.classes))
        lda = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=self.settings.shrinkage, priors=even
        )
        lda.fit(self.normaliser.transform(train.X), train.y)
        self.coefficients, self.intercepts = self.each_genre(lda)
