"""Soft voting: several models answer together, each with the weight it has earned.

Temperatures and weights are learned from predictions out of fold of the training rows, with songs
and artists kept together; the members are then fitted on all training rows. Validation rows are
looked at by members that stop early, and by nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from genre.models.base import Examples, Model, Progress, silent
from genre.models.folds import predict_out_of_fold
from genre.params import Section, VoteParams

if TYPE_CHECKING:
    from genre.models.store import Reader
    from genre.params import TrainParams

Floats = npt.NDArray[np.float64]

ROUNDS = 1000  # at most, of the weights' fit
ENOUGH = 1e-9  # change of a weight at which it has settled


class VoteSettings(VoteParams):
    """The vote's own settings, and with them those of its members."""

    settings: dict[str, dict[str, Any]]


class Vote(Model):
    """The weighted mean of the members' probabilities, each at its own temperature."""

    name = "vote"
    input = "features_3s"
    settings_type = VoteSettings
    settings: VoteSettings
    stops_early = True

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """An untrained vote; each member has its own section of `train`."""
        members = {str(name): getattr(params, name).model_dump() for name in params.vote.members}
        return cls(VoteSettings(**params.vote.model_dump(), settings=members))

    def __init__(self, settings: Section) -> None:
        from genre.models import family

        super().__init__(settings)
        self.members: list[Model] = []
        for name in self.settings.members:
            model_class = family(name)
            chosen = model_class.settings_type.model_validate(self.settings.settings.get(name, {}))
            self.members.append(model_class(chosen))

    def _fit(self, train: Examples, validation: Examples, seed: int, progress: Progress) -> None:
        from genre.evaluation.calibration import fit_temperature, scale

        scaled, temperatures = [], []
        for member in self.members:
            found = predict_out_of_fold(
                lambda member=member: type(member)(member.settings),  # type: ignore[misc]
                train,
                folds=self.settings.folds,
                seed=seed,
                progress=progress,
            )
            temperature = fit_temperature(found.proba[found.scored], train.y[found.scored])
            temperatures.append(temperature)
            scaled.append(scale(found.proba[found.scored], temperature))
        right = np.stack([proba[np.arange(len(proba)), train.y[found.scored]] for proba in scaled])
        self.temperatures = np.array(temperatures)
        self.weights = fit_weights(right)
        for member in self.members:
            member.fit(train, validation, seed=seed, progress=silent)

    def _predict(self, X: npt.NDArray[Any]) -> Floats:
        from genre.evaluation.calibration import scale

        answers = zip(self.members, self.temperatures, self.weights, strict=True)
        parts = [
            weight * scale(member.predict_proba(X), float(temperature))
            for member, temperature, weight in answers
        ]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Temperatures, weights, and the members' arrays, each below its name."""
        found = {"temperatures": self.temperatures, "weights": self.weights}
        for member in self.members:
            found |= {f"{member.name}.{name}": part for name, part in member.arrays().items()}
        return found

    def restore(self, reader: Reader) -> None:
        """Take back what `arrays` gave."""
        self.temperatures = reader.take("temperatures", np.float64, (len(self.members),))
        self.weights = reader.take("weights", np.float64, (len(self.members),))
        if self.temperatures.min() <= 0 or self.weights.min() < 0:
            raise reader.error("temperatures and weights must be positive")
        for member in self.members:
            member.classes, member.features, member.seed = self.classes, self.features, self.seed
            member.restore(reader.below(member.name))


def fit_weights(right: Floats) -> Floats:
    """The weights of a mixture that make the true genres likeliest; they sum to 1.

    `right` holds the probability that each member gave to the true genre of each row
    [shape=(members, n)]. Expectation-maximisation: the likelihood has one maximum.
    """
    weights = np.full(len(right), 1 / len(right))
    for _ in range(ROUNDS):
        share = weights[:, np.newaxis] * np.maximum(right, 1e-12)
        better = (share / share.sum(axis=0)).mean(axis=1)
        settled = np.abs(better - weights).max() < ENOUGH
        weights = better
        if settled:
            break
    return np.asarray(weights / weights.sum(), dtype=np.float64)
