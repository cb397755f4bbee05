"""Linear discriminant analysis with a shrunk covariance, on normalised features.

Few numbers to learn, so it holds its ground where songs are few and test artists are new. All
genres are held equally likely: their shares in the collection are no knowledge about the next song.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.models.base import Examples, Model, softmax
from genre.models.normalise import Normaliser
from genre.params import LdaParams

if TYPE_CHECKING:
    from genre.models.store import Reader


class Lda(Model):
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
        coefficients, intercepts = np.asarray(lda.coef_), np.asarray(lda.intercept_)
        if len(self.classes) == 2:  # scikit-learn keeps the difference of the two alone
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([np.zeros(1), intercepts])
        self.coefficients, self.intercepts = coefficients, intercepts

    def _predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return softmax(self.normaliser.transform(X) @ self.coefficients.T + self.intercepts)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The normaliser, coefficients [shape=(classes, features)] and intercepts."""
        return {
            **self.normaliser.arrays(),
            "coefficients": self.coefficients,
            "intercepts": self.intercepts,
        }

    def restore(self, reader: Reader) -> None:
        """Take back what `arrays` gave."""
        classes, features = len(self.classes), len(self.features)
        self.normaliser = Normaliser().restore(reader, features)
        self.coefficients = reader.take("coefficients", np.float64, (classes, features))
        self.intercepts = reader.take("intercepts", np.float64, (classes,))
