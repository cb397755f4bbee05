"""What models learn from and answer for, whatever they look at: features or pictures.

Conventions
-----------
`keys` has a row a 3 s segment: `track_id, segment, genre, group, subset`, in any order, none of
them excluded; a mask is bool [shape=(rows of keys,)]. Models of features learn from segments.
Models of pictures learn from whole clips, a row a song, and answer for segments; under a protocol
that splits songs (`by_segment`) they learn from segments too, as nothing of another segment may
be seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.audio import SEGMENTS_PER_CLIP
from genre.models.base import Examples, Model, ask

if TYPE_CHECKING:
    import pandas as pd

Mask = npt.NDArray[np.bool_]


class Data(ABC):
    """The segments of a collection, with their genres, groups and sides."""

    def __init__(self, keys: pd.DataFrame, *, by_segment: bool = False) -> None:
        self.keys = keys.reset_index(drop=True)
        self.by_segment = by_segment
        self.classes = tuple(sorted(str(genre) for genre in keys["genre"].unique()))

    def mask(self, *subsets: str) -> Mask:
        """Which rows are of these subsets."""
        return np.asarray(self.keys["subset"].isin(subsets), dtype=np.bool_)

    def ties(self) -> npt.NDArray[Any]:
        """The name of what each row may not be parted from in folds [shape=(rows,)]."""
        if self.by_segment:
            names = self.keys["track_id"] + "." + self.keys["segment"].astype(str)
        else:
            names = self.keys["group"]
        return names.to_numpy(dtype=object)

    def examples(self, rows: Mask, X: npt.NDArray[Any], features: tuple[str, ...]) -> Examples:
        """`X`, a row for each of `rows`, with genres and ties."""
        numbers = {genre: number for number, genre in enumerate(self.classes)}
        y = np.array([numbers[genre] for genre in self.keys.loc[rows, "genre"]], dtype=np.int64)
        return Examples(X, y, self.ties()[rows], self.classes, features)

    @abstractmethod
    def learn(self, rows: Mask) -> Examples:
        """What a model learns from in these rows."""

    @abstractmethod
    def look(self, rows: Mask) -> Any:
        """What a model is asked about: the input of each of these rows."""

    def answer(self, model: Model, rows: Mask) -> pd.DataFrame:
        """The table of predictions of `model` for these rows (see `genre.evaluation`)."""
        from genre.evaluation.predictions import make

        proba = ask(model, self.look(rows))
        return make(self.keys[rows], proba, model.classes, model.name)


class FeatureData(Data):
    """Segments by their features: `X` has a column a feature, a row a row of `keys`."""

    def __init__(self, keys: pd.DataFrame, X: pd.DataFrame, *, by_segment: bool = False) -> None:
        super().__init__(keys, by_segment=by_segment)
        self.X = X.reset_index(drop=True)

    def learn(self, rows: Mask) -> Examples:
        """Features as float64 [shape=(n, features)]."""
        features = tuple(str(name) for name in self.X)
        return self.examples(rows, self.X[rows].to_numpy(dtype=np.float64), features)

    def look(self, rows: Mask) -> pd.DataFrame:
        """The features of these rows, with their names."""
        return self.X[rows]


class PictureData(Data):
    """Clips as pictures: `read` gives that of a song, uint8 [shape=(channels, height, width)]."""

    def __init__(
        self,
        keys: pd.DataFrame,
        read: Callable[[str], npt.NDArray[np.uint8]],
        *,
        by_segment: bool = False,
    ) -> None:
        super().__init__(keys, by_segment=by_segment)
        self.read = read

    def learn(self, rows: Mask) -> Examples:
        """Whole clips, a row a song; segments where songs are split."""
        if self.by_segment:
            return self.examples(rows, self.look(rows), ())
        places = np.flatnonzero(rows)
        repeated = self.keys["track_id"].iloc[places].duplicated().to_numpy()
        first = np.zeros(len(rows), dtype=np.bool_)
        first[places[~repeated]] = True
        tracks = self.keys.loc[first, "track_id"]
        return self.examples(first, _stack([self.read(str(track)) for track in tracks]), ())

    def look(self, rows: Mask) -> npt.NDArray[np.uint8]:
        """The pictures of segments [shape=(n, channels, height, width)]."""
        from genre.models.images import cut

        chosen = self.keys.loc[rows, ["track_id", "segment"]].reset_index(drop=True)
        found: list[Any] = [None] * len(chosen)
        for track, group in chosen.groupby("track_id", sort=False):
            parts = cut(self.read(str(track))[np.newaxis], SEGMENTS_PER_CLIP)
            for place, segment in group["segment"].items():
                found[int(place)] = parts[int(segment)]  # type: ignore[call-overload]
        return _stack(found)


def _stack(pictures: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    return np.stack(pictures) if pictures else np.empty((0, 1, 0, 0), dtype=np.uint8)
