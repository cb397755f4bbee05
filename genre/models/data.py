"""The data that models are trained on and predict: features or pictures of segments.

Conventions
-----------
`keys` has one row per 3 s segment: `track_id, segment, genre, group, subset`, in any order, none
of them excluded; a mask is bool [shape=(rows of keys,)]. Models of features are trained on
segments. Models of pictures are trained on whole clips, one row per song, and predict segments;
under a protocol that splits songs (`by_segment`) they are trained on segments too, because the
other segments of the clip may be in another subset.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.audio import SEGMENTS_PER_CLIP
from genre.models.base import Examples, Model, predict_proba

if TYPE_CHECKING:
    import pandas as pd

Mask = npt.NDArray[np.bool_]


class Data(ABC):
    """The segments of a collection, with their genres, groups and subsets."""

    def __init__(self, keys: pd.DataFrame, *, by_segment: bool = False) -> None:
        self.keys = keys.reset_index(drop=True)
        self.by_segment = by_segment
        self.classes = tuple(sorted(str(genre) for genre in keys["genre"].unique()))

    def mask(self, *subsets: str) -> Mask:
        """The mask of the rows in these subsets."""
        return np.asarray(self.keys["subset"].isin(subsets), dtype=np.bool_)

    def groups(self) -> npt.NDArray[Any]:
        """The group of each row, which no fold may split [shape=(rows,)]."""
        if self.by_segment:
            names = self.keys["track_id"] + "." + self.keys["segment"].astype(str)
        else:
            names = self.keys["group"]
        return names.to_numpy(dtype=object)

    def examples(self, rows: Mask, X: npt.NDArray[Any], features: tuple[str, ...]) -> Examples:
        """`X`, which has a row for each of `rows`, with genres and groups."""
        numbers = {genre: number for number, genre in enumerate(self.classes)}
        y = np.array([numbers[genre] for genre in self.keys.loc[rows, "genre"]], dtype=np.int64)
        return Examples(X, y, self.groups()[rows], self.classes, features)

    @abstractmethod
    def training_examples(self, rows: Mask) -> Examples:
        """The training examples of these rows."""

    @abstractmethod
    def inputs(self, rows: Mask) -> Any:
        """The model input of each of these rows."""

    def predict(self, model: Model, rows: Mask) -> pd.DataFrame:
        """The predictions of `model` for these rows, as a table (see `genre.evaluation`)."""
        from genre.evaluation.predictions import make

        proba = predict_proba(model, self.inputs(rows))
        return make(self.keys[rows], proba, model.classes, model.name)


class FeatureData(Data):
    """The features of segments: `X` has one row per row of `keys`, one column per feature."""

    def __init__(self, keys: pd.DataFrame, X: pd.DataFrame, *, by_segment: bool = False) -> None:
        super().__init__(keys, by_segment=by_segment)
        self.X = X.reset_index(drop=True)

    def training_examples(self, rows: Mask) -> Examples:
        """Features as float64 [shape=(n, features)]."""
        features = tuple(str(name) for name in self.X)
        return self.examples(rows, self.X[rows].to_numpy(dtype=np.float64), features)

    def inputs(self, rows: Mask) -> pd.DataFrame:
        """The features of these rows, with their names."""
        return self.X[rows]


class PictureData(Data):
    """Pictures of clips: `read` returns that of a song, uint8 [shape=(channels, height, width)]."""

    def __init__(
        self,
        keys: pd.DataFrame,
        read: Callable[[str], npt.NDArray[np.uint8]],
        *,
        by_segment: bool = False,
    ) -> None:
        super().__init__(keys, by_segment=by_segment)
        self.read = read

    def training_examples(self, rows: Mask) -> Examples:
        """Whole clips, one row per song; segments if `by_segment`."""
        if self.by_segment:
            return self.examples(rows, self.inputs(rows), ())
        indices = np.flatnonzero(rows)
        repeated = self.keys["track_id"].iloc[indices].duplicated().to_numpy()
        first = np.zeros(len(rows), dtype=np.bool_)
        first[indices[~repeated]] = True
        tracks = self.keys.loc[first, "track_id"]
        return self.examples(first, _stack([self.read(str(track)) for track in tracks]), ())

    def inputs(self, rows: Mask) -> npt.NDArray[np.uint8]:
        """The pictures of segments [shape=(n, channels, height, width)]."""
        from genre.models.images import cut

        chosen = self.keys.loc[rows, ["track_id", "segment"]].reset_index(drop=True)
        found: list[Any] = [None] * len(chosen)
        for track, group in chosen.groupby("track_id", sort=False):
            parts = cut(self.read(str(track))[np.newaxis], SEGMENTS_PER_CLIP)
            for index, segment in group["segment"].items():
                found[int(index)] = parts[int(segment)]  # type: ignore[call-overload]
        return _stack(found)


def _stack(pictures: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    return np.stack(pictures) if pictures else np.empty((0, 1, 0, 0), dtype=np.uint8)
