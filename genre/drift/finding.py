"""What the distances mean: whether new songs have drifted from what a version knows, and how.

New songs are a table with a row a song: `path` (below the folder that was answered), `sha256`,
`genre` and `confidence` (answered), and a column a feature (see `genre.drift.songs`). The same file
under several names counts once. The first folder of a path is taken for the song's genre.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from genre.drift import measures
from genre.drift.measures import Share
from genre.drift.reference import Reference

if TYPE_CHECKING:
    import pandas as pd

    from genre.params import DriftParams

COLUMNS, CONFIDENCE, GENRES = "columns", "confidence", "genres"  # where drift is found
SHOWN = 5  # columns and genres that a sentence names


@dataclass(frozen=True)
class Column:
    """A column's distance (see `measures.Distance`), `p` corrected for the number of columns."""

    name: str
    psi: float
    psi_by_chance: float
    ks: float
    p: float
    p_corrected: float
    median_training: float
    median_new: float
    drifted: bool


@dataclass(frozen=True)
class Sign:
    """A kind of drift that was found, in words."""

    kind: str
    words: str


@dataclass(frozen=True)
class Finding:
    """How the new songs differ from the training songs.

    `columns` are sorted, farthest first. `unsure` are the answers below `drift.low_confidence`,
    `own_unsure` those of songs held out of training, `unsure_p` how likely the excess is by chance;
    null where there are none to count. `answered` and `trained` are shares of songs by genre;
    `unknown` counts the songs in folders that are no genre of the version, `known` in those that
    are. `evidence` is a hash of the songs compared; `not_compared` names columns without values.
    """

    songs: int
    training_songs: int
    min_songs: int
    columns: tuple[Column, ...]
    unsure: Share | None
    own_unsure: Share | None
    unsure_p: float | None
    answered: dict[str, float]
    trained: dict[str, float]
    known: dict[str, int]
    unknown: dict[str, int]
    signs: tuple[Sign, ...]
    not_compared: tuple[str, ...]
    evidence: str

    @property
    def enough(self) -> bool:
        """Whether there are enough songs to say anything."""
        return self.songs >= self.min_songs

    @property
    def drift(self) -> bool:
        """Whether the songs have drifted."""
        return bool(self.signs)

    @property
    def drifted(self) -> list[Column]:
        """The columns that have drifted."""
        return [column for column in self.columns if column.drifted]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {**asdict(self), "enough": self.enough, "drift": self.drift}


def compare(reference: Reference, songs: pd.DataFrame, settings: DriftParams) -> Finding:
    """Compare new songs with the training songs of `reference`.

    Of fewer than `min_songs` songs all figures are given, and none is called drift. A column has
    drifted where its Kolmogorov-Smirnov test is significant after correction and its stability
    index reaches `psi` and exceeds what chance gives as many songs. Drift is found where `columns`
    of them have; where answers are unsure more often by `low_confidence_share`, significantly; and
    where `unknown_genres` of the songs lie in unknown genre folders beside known ones.
    """
    new = songs[songs["confidence"].notna()].drop_duplicates("sha256").sort_values("sha256")
    enough = len(new) >= settings.min_songs
    columns, without = _columns(reference, new, settings)
    unsure = own = p = None
    if len(new):
        low = int((new["confidence"] < settings.low_confidence).sum())
        unsure = measures.share(low, len(new))
    if len(reference.confidence):
        low = int((reference.confidence < settings.low_confidence).sum())
        own = measures.share(low, len(reference.confidence))
    if unsure and own:
        p = measures.more_often(unsure, own)
    folders = new["path"].map(_folder).dropna().value_counts()
    names = {genre.casefold() for genre in reference.genres}
    found = {str(name): int(folders[name]) for name in sorted(folders.index)}
    known = {name: number for name, number in found.items() if name.casefold() in names}
    unknown = {name: number for name, number in found.items() if name not in known}
    signs = []
    if enough:
        signs += _of_columns(columns, settings)
        signs += _of_confidence(unsure, own, p, settings)
        signs += _of_genres(known, unknown, len(new), settings)
    return Finding(
        songs=len(new),
        training_songs=reference.songs,
        min_songs=settings.min_songs,
        columns=columns,
        unsure=unsure,
        own_unsure=own,
        unsure_p=p,
        answered=_shares(new["genre"]),
        trained={name: count / reference.songs for name, count in reference.genres.items()},
        known=known,
        unknown=unknown,
        signs=tuple(signs),
        not_compared=without,
        evidence=hashlib.sha256("\n".join(new["sha256"]).encode()).hexdigest(),
    )


def _columns(
    reference: Reference, new: pd.DataFrame, settings: DriftParams
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """The columns' distances, and the names of those that the new songs have no values in."""
    distances, medians, without = {}, {}, []
    for name, known in reference.columns.items():
        values = new[name].to_numpy(dtype=np.float64) if name in new else np.zeros(0)
        values = values[np.isfinite(values)]
        if not len(values) or not len(known):
            without.append(name)
            continue
        distances[name] = measures.distance(known, values)
        medians[name] = (float(np.median(known)), float(np.median(values)))
    p = measures.corrected([one.p for one in distances.values()])
    columns = [
        Column(
            name,
            **asdict(one),
            p_corrected=float(corrected),
            median_training=medians[name][0],
            median_new=medians[name][1],
            drifted=bool(
                corrected < settings.significance
                and one.psi >= settings.psi
                and one.psi > one.psi_by_chance
            ),
        )
        for (name, one), corrected in zip(distances.items(), p, strict=True)
    ]
    columns.sort(key=lambda column: (not column.drifted, -column.ks, column.name))
    return tuple(columns), tuple(without)


def _of_columns(columns: Sequence[Column], settings: DriftParams) -> list[Sign]:
    drifted = [column.name for column in columns if column.drifted]
    if not drifted or len(drifted) < ceil(settings.columns * len(columns)):
        return []
    words = f"{len(drifted)} of {len(columns)} columns have drifted, {listed(drifted)}"
    return [Sign(COLUMNS, words)]


def _of_confidence(
    unsure: Share | None, own: Share | None, p: float | None, settings: DriftParams
) -> list[Sign]:
    if unsure is None or own is None or p is None:
        return []
    if unsure.share - own.share < settings.low_confidence_share or p >= settings.significance:
        return []
    return [
        Sign(
            CONFIDENCE,
            f"{100 * unsure.share:.0f} % of the answers are unsure (95 % interval "
            f"{100 * unsure.low:.0f} to {100 * unsure.high:.0f} %), against "
            f"{100 * own.share:.0f} % of songs held out of training",
        )
    ]


def _of_genres(
    known: dict[str, int], unknown: dict[str, int], songs: int, settings: DriftParams
) -> list[Sign]:
    number = sum(unknown.values())
    if not known or number < settings.unknown_genres * songs:
        return []
    words = f"{number} of {songs} songs are of genres that the version does not know"
    return [Sign(GENRES, f"{words}: {listed(list(unknown))}")]


def listed(names: Sequence[str]) -> str:
    """The first few of `names`, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _folder(path: str) -> str | None:
    """The first folder of a song's path; null for a song that lies in none."""
    parts = PurePosixPath(path).parts
    return parts[0] if len(parts) > 1 else None


def _shares(genres: pd.Series) -> dict[str, float]:
    counted = genres.value_counts(normalize=True)
    return {str(name): float(counted[name]) for name in sorted(counted.index)}
