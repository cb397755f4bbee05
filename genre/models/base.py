"""What every model is: one interface for networks, scikit-learn families and combinations.

Conventions
-----------
X is float [shape=(n, features)], a row a segment or a song, or for images
[shape=(n, channels, height, width)]; y is int64 [shape=(n,)], an index into `classes`;
probabilities are float64 [shape=(n, classes)] with rows that sum to 1. `groups` says which rows
may never stand on two sides (pieces of one song, one artist).

A model is made with its settings, then either fitted or loaded. Scaling belongs to the model: it
is learned from the training rows alone and saved with it.
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
    """What a training calls with steps done, steps at most and a few words.

    A network also hands over the points of its curves that belong to the step, an epoch.
    """

    def __call__(self, done: int, total: int, words: str, rows: Sequence[Epoch] = (), /) -> None:
        """Show it, or record it."""


def silent(done: int, total: int, words: str, rows: Sequence[Epoch] = ()) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Examples:
    """Rows to learn from or to look at, with their genres.

    `features` names the columns of `X`; it is empty where `X` holds images.
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
        """The rows with these numbers (or where this mask is true)."""
        return Examples(self.X[rows], self.y[rows], self.groups[rows], self.classes, self.features)

    def absent(self) -> list[str]:
        """The genres that have no row here."""
        present = set(np.unique(self.y).tolist())
        return [genre for number, genre in enumerate(self.classes) if number not in present]


@dataclass(frozen=True)
class Epoch:
    """One point of the loss and accuracy curves; loss is the mean cross-entropy in nats."""

    epoch: int
    subset: str
    loss: float
    accuracy: float


@dataclass(frozen=True)
class History:
    """The curves of a training, and the epoch (from 1) whose weights were kept."""

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
    stops_early: ClassVar[bool] = False  # whether `fit` looks at validation rows

    def __init__(self, settings: Section) -> None:
        self.settings = settings
        self.classes: tuple[str, ...] = ()
        self.features: tuple[str, ...] = ()
        self.seed = 0
        self.history: History | None = None

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """An untrained model with its section of `train` in `params.yaml`."""
        return cls(getattr(params, cls.name))

    def fit(
        self, train: Examples, validation: Examples, *, seed: int, progress: Progress = silent
    ) -> History | None:
        """Learn from `train`; `validation` is looked at by early stopping alone.

        The same examples, settings and seed give the same arrays to the byte on one machine.
        Returns the curves where the model is a network. Raises `InputError` where a genre has no
        training row or a value is not finite.
        """
        if not len(train):
            raise InputError(f"{self.name}: no training rows; the split leaves nothing to learn")
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

        Raises `InputError` where the columns are not the model's or a value is not finite.
        """
        if not self.classes:
            raise ValueError(f"{self.name}: fit or load it first")
        self._check(X)
        return self._predict(X)

    def save(
        self, folder: str | Path, beside: Mapping[str, Callable[[Path], None]] | None = None
    ) -> None:
        """Write the trained model to `folder`, in place of what was there, all or nothing.

        `beside` names further files of the folder, each with what writes it.
        """
        from genre.models import serialization

        serialization.save(self, Path(folder), beside or {})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The trained model in `folder`; raises `InputError` where it is damaged or foreign."""
        from genre.models import serialization

        return serialization.load(cls, Path(folder))

    def _check(self, X: npt.NDArray[Any]) -> None:
        """Raise `InputError` for rows that this model cannot read."""
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
        """Learn; `classes`, `features` and `seed` are set."""

    @abstractmethod
    def _predict(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Probabilities of rows that were checked."""

    @abstractmethod
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All that was learned."""

    @abstractmethod
    def restore(self, reader: Reader) -> None:
        """Take back what `arrays` gave, each checked; `classes` and `features` are set."""


def ask(model: Model, X: Any) -> npt.NDArray[np.float64]:
    """The probabilities of `model` for pictures, or for a table of features that has its columns.

    A table is pandas' or a dictionary of columns. Raises `InputError` where columns are missing.
    """
    if isinstance(X, np.ndarray):
        return model.predict_proba(X)
    if missing := [name for name in model.features if name not in X]:
        raise InputError(
            f"{model.name} was trained on features that are not there "
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
