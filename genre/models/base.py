"""The interface of all models: networks and scikit-learn estimators.

Conventions
-----------
X is float [shape=(n, features)], one row per segment or song, or for images
[shape=(n, channels, height, width)]; y is int64 [shape=(n,)], an index into `classes`;
probabilities are float64 [shape=(n, classes)] with rows that sum to 1. Rows with the same value in
`groups` (one song, one artist) are always in the same fold.

A model is made with its settings, then fitted or loaded. Scaling is part of the model: it is fitted
to the training rows and saved with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from genre.core.errors import InputError
from genre.core.messages import command

if TYPE_CHECKING:
    from genre.core.params import Section, TrainParams
    from genre.models.serialization import Reader

Input = Literal["features_3s", "features_30s", "report_3s", "spectrogram", "log_mel"]


class Progress(Protocol):
    """The callback of a training: steps done, steps at most, a message.

    For a network a step is an epoch, and `rows` are its points on the training curves.
    """

    def __call__(self, done: int, total: int, message: str, rows: Sequence[Epoch] = (), /) -> None:
        """Show or record the progress."""


def silent(done: int, total: int, message: str, rows: Sequence[Epoch] = ()) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Examples:
    """Rows with their genres, to train on or to validate with.

    `features` names the columns of `X`; it is empty if `X` holds images.
    """

    X: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    groups: npt.NDArray[Any]
    classes: tuple[str, ...]
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.X) == len(self.y) == len(self.groups):
            raise ValueError(
                f"X, y and groups have {len(self.X)}, {len(self.y)} and {len(self.groups)} rows"
            )
        if len(self.y) and not 0 <= self.y.min() <= self.y.max() < len(self.classes):
            raise ValueError(f"y is outside the {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: npt.NDArray[Any]) -> Examples:
        """The rows with these indices, or for which this mask is True."""
        return Examples(self.X[rows], self.y[rows], self.groups[rows], self.classes, self.features)

    def absent(self) -> list[str]:
        """The genres without a row."""
        present = set(np.unique(self.y).tolist())
        return [genre for number, genre in enumerate(self.classes) if number not in present]


@dataclass(frozen=True)
class Epoch:
    """One point of the training curves; `loss` is the mean cross-entropy in nats."""

    epoch: int
    subset: str
    loss: float
    accuracy: float


@dataclass(frozen=True)
class History:
    """The training curves, and the epoch (from 1) whose weights were kept."""

    rows: tuple[Epoch, ...]
    best_epoch: int

    def csv(self) -> str:
        """The curves as CSV text: `epoch,subset,loss,accuracy`."""
        lines = [f"{r.epoch},{r.subset},{r.loss:.6f},{r.accuracy:.6f}" for r in self.rows]
        return "\n".join(["epoch,subset,loss,accuracy", *lines]) + "\n"


class Model(ABC):
    """A classifier of genres: `fit`, `predict_proba`, `save` and `load`."""

    name: ClassVar[str]
    input: ClassVar[Input]
    settings_type: ClassVar[type[Section]]
    stops_early: ClassVar[bool] = False  # whether `fit` uses validation rows

    def __init__(self, settings: Section) -> None:
        self.settings = settings
        self.classes: tuple[str, ...] = ()
        self.features: tuple[str, ...] = ()
        self.seed = 0
        self.history: History | None = None

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Make an untrained model with the settings in its section of `train`."""
        return cls(getattr(params, cls.name))

    def fit(
        self, train: Examples, validation: Examples, *, seed: int, progress: Progress = silent
    ) -> History | None:
        """Fit the model to `train`; `validation` is for early stopping.

        The same examples, settings and seed give the same arrays to the byte on one machine.
        Returns the training curves of a network, None for other models. Raises `InputError` if a
        genre has no training row or a value is not finite.
        """
        if not len(train):
            raise InputError(f"{self.name}: the split has no training rows")
        if missing := train.absent():
            raise InputError(f"{self.name}: no training rows of {', '.join(missing)}")
        if (train.classes, train.features) != (validation.classes, validation.features):
            raise ValueError("train and validation must have the same classes and features")
        self.classes, self.features, self.seed = train.classes, train.features, seed
        self._check(train.X)
        if len(validation):
            self._check(validation.X)
        self.history = self._fit(train, validation, seed, progress)
        return self.history

    def predict_proba(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The probability of each genre, float64 [shape=(n, classes)]; rows sum to 1.

        Raises `InputError` if the columns are not the model's or a value is not finite.
        """
        if not self.classes:
            raise ValueError(f"{self.name}: fit or load it first")
        self._check(X)
        return self._predict(X)

    def save(
        self, folder: str | Path, beside: Mapping[str, Callable[[Path], None]] | None = None
    ) -> None:
        """Save the trained model to `folder`, replacing it atomically.

        `beside` maps the names of further files in the folder to functions that write them.
        """
        from genre.models import serialization

        serialization.save(self, Path(folder), beside or {})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load the trained model in `folder`; raises `InputError` if it is damaged or another."""
        from genre.models import serialization

        return serialization.load(cls, Path(folder))

    def _check(self, X: npt.NDArray[Any]) -> None:
        """Raise `InputError` if the model cannot predict these rows."""
        if X.ndim != 2 or X.shape[1] != len(self.features):
            raise InputError(
                f"{self.name}: found rows of shape {X.shape[1:]}, expected "
                f"{len(self.features)} features"
            )
        bad = ~np.isfinite(X).all(axis=0)
        if bad.any():
            names = [name for name, is_bad in zip(self.features, bad, strict=True) if is_bad]
            raise InputError(
                f"{self.name}: values that are not finite in {', '.join(names[:5])}; "
                "compute the features again"
            )

    @abstractmethod
    def _fit(
        self, train: Examples, validation: Examples, seed: int, progress: Progress, /
    ) -> History | None:
        """Fit; `classes`, `features` and `seed` are set."""

    @abstractmethod
    def _predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The probabilities of rows that were checked."""

    @abstractmethod
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The fitted parameters, by name."""

    @abstractmethod
    def restore(self, reader: Reader) -> None:
        """Restore and check what `arrays` returned; `classes` and `features` are set."""


def predict_proba(model: Model, X: Any) -> npt.NDArray[np.float64]:
    """The probabilities of `model` for images (an array) or a table with its feature columns.

    A table is a DataFrame or a dict of columns. Raises `InputError` if a column is missing.
    """
    if isinstance(X, np.ndarray):
        return model.predict_proba(X)
    if missing := [name for name in model.features if name not in X]:
        raise InputError(
            f"{model.name} was trained on features that are missing "
            f"({', '.join(missing[:5])}); train it again "
            f"({command('dvc repro train')})"
        )
    columns = [np.asarray(X[name], dtype=np.float64) for name in model.features]
    return model.predict_proba(np.stack(columns, axis=1))


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Row-wise softmax in float64, safe from overflow [shape=(n, classes)]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponential = np.exp(shifted)
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True), dtype=np.float64)
