"""Linear discriminant analysis with a shrunk covariance, on normalised features.

Few numbers to learn, so it holds its ground where songs are few and test artists are new. All
genres are held equally likely: their shares in the collection are no knowledge about the next song.
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
