"""Compare new songs with a version's training songs: the drift report and its alerts.

New songs are a table with one row per song: `path` (below the folder that was classified, with
slashes), `sha256`, `genre` (predicted), `confidence` (of the 30 s that training would use; NaN if
they are silent), and a float64 column per feature, its mean over these 30 s. The same file under
several names counts once. The first folder of a path is taken for the song's genre.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from genre.core.files import sha256_of
from genre.drift import measures
from genre.drift.measures import Distance, Share
from genre.drift.reference import Reference

if TYPE_CHECKING:
    import pandas as pd

    from genre.classifier import ClipRequest, Prediction
    from genre.core.params import DriftParams

COLUMNS, CONFIDENCE, GENRES = "columns", "confidence", "genres"  # kinds of alerts
NAMED = 5  # columns and genres that an alert names


@dataclass(frozen=True)
class Column(Distance):
    """A column's distance, and its p-value corrected for the number of columns."""

    name: str
    p_corrected: float
    median_training: float
    median_new: float
    drifted: bool


@dataclass(frozen=True)
class Report:
    """How the new songs differ from the training songs.

    `missing` songs were classified without keeping their features. `columns` are sorted, the
    farthest first; `not_compared` names those without values. `low_confidence` counts predictions
    below `drift.low_confidence`, `held_out` those of songs held out of training, and `p` is the
    p-value of the excess; None if there are none to count.
    `predicted` and `training` are shares of songs by genre. `known` and `unknown` count the songs
    in folders that are, or are not, genres of the version. `alerts` has a message for each kind of
    drift that was found. `evidence` is a hash of the songs.
    """

    songs: int
    missing: int
    training_songs: int
    min_songs: int
    columns: tuple[Column, ...]
    not_compared: tuple[str, ...]
    low_confidence: Share | None
    held_out: Share | None
    p: float | None
    predicted: dict[str, float]
    training: dict[str, float]
    known: dict[str, int]
    unknown: dict[str, int]
    alerts: dict[str, str]
    evidence: str

    @property
    def drifted(self) -> list[Column]:
        """The columns that have drifted."""
        return [column for column in self.columns if column.drifted]

    @property
    def verdict(self) -> str:
        """Whether the songs have drifted, in one line."""
        if self.alerts:
            return f"drift: {'; '.join(self.alerts.values())}"
        if self.songs >= self.min_songs:
            return f"no drift in {counted(self.songs)}"
        return (
            f"{counted(self.songs)} compared, too few to detect drift (drift.min_songs is "
            f"{self.min_songs})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        enough = self.songs >= self.min_songs
        return {**asdict(self), "enough": enough, "drift": bool(self.alerts)}


def clip_request(reference: Reference) -> ClipRequest:
    """What a classifier must return of a song, so that it can be compared with `reference`."""
    from genre.classifier import ClipRequest

    return ClipRequest(reference.position, tuple(reference.columns))


def table(classified: Iterable[tuple[str, str, Prediction]], reference: Reference) -> pd.DataFrame:
    """The table of new songs, from the path, hash and prediction of each."""
    import pandas as pd

    rows = [
        {
            "path": path,
            "sha256": sha256,
            "genre": prediction.genre,
            "confidence": prediction.clip.confidence if prediction.clip else np.nan,
            **(prediction.clip.columns if prediction.clip else {}),
        }
        for path, sha256, prediction in classified
    ]
    types = dict.fromkeys(("path", "sha256", "genre"), "str")
    types |= dict.fromkeys(("confidence", *reference.columns), "float64")
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def compare(
    reference: Reference, songs: pd.DataFrame, settings: DriftParams, missing: int = 0
) -> Report:
    """Compare the table of new `songs` with the training songs of `reference`.

    A column has drifted if its Kolmogorov-Smirnov test is significant after correction and its
    stability index reaches `psi` and exceeds its value by chance. There is an alert if
    `columns` of them have drifted; if low-confidence predictions are more frequent by
    `low_confidence_share`, significantly; and if `unknown_genres` of the songs lie in unknown genre
    folders beside known ones. Fewer than `min_songs` songs give all figures and no alert.
    """
    new = songs[songs["confidence"].notna()].drop_duplicates("sha256").sort_values("sha256")
    columns, not_compared = _columns(reference, new, settings)
    low, held_out = (
        measures.share(int((values < settings.low_confidence).sum()), len(values))
        if len(values)
        else None
        for values in (new["confidence"].to_numpy(), reference.confidence)
    )
    folders = [PurePosixPath(path).parts[0] for path in new["path"] if "/" in path]
    found = {name: folders.count(name) for name in sorted(set(folders))}
    genres = {genre.casefold() for genre in reference.genres}
    known = {name: count for name, count in found.items() if name.casefold() in genres}
    predicted = new["genre"].value_counts(normalize=True).sort_index()
    report = Report(
        songs=len(new),
        missing=missing,
        training_songs=reference.songs,
        min_songs=settings.min_songs,
        columns=columns,
        not_compared=not_compared,
        low_confidence=low,
        held_out=held_out,
        p=measures.more_often(low, held_out) if low and held_out else None,
        predicted={str(name): float(share) for name, share in predicted.items()},
        training={name: count / reference.songs for name, count in reference.genres.items()},
        known=known,
        unknown={name: count for name, count in found.items() if name not in known},
        alerts={},
        evidence=sha256_of("\n".join(new["sha256"]).encode()),
    )
    if len(new) < settings.min_songs:
        return report
    return replace(report, alerts=dict(_alerts(report, settings)))


def _columns(
    reference: Reference, new: pd.DataFrame, settings: DriftParams
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """The columns' distances, and the names of columns without values in the new songs."""
    values = {name: new[name].to_numpy(np.float64) for name in reference.columns}
    values = {name: column[np.isfinite(column)] for name, column in values.items()}
    compared = [
        name for name, known in reference.columns.items() if len(known) and len(values[name])
    ]
    distances = [measures.distance(reference.columns[name], values[name]) for name in compared]
    p = measures.corrected([one.p for one in distances])
    columns = [
        Column(
            name=name,
            **asdict(one),
            p_corrected=float(p_corrected),
            median_training=float(np.median(reference.columns[name])),
            median_new=float(np.median(values[name])),
            drifted=bool(
                p_corrected < settings.significance
                and one.psi >= settings.psi
                and one.psi > one.psi_by_chance
            ),
        )
        for name, one, p_corrected in zip(compared, distances, p, strict=True)
    ]
    columns.sort(key=lambda column: (not column.drifted, -column.ks, column.name))
    return tuple(columns), tuple(name for name in reference.columns if name not in compared)


def _alerts(report: Report, settings: DriftParams) -> Iterator[tuple[str, str]]:
    """The kind and message of each alert."""
    drifted = [column.name for column in report.drifted]
    if drifted and len(drifted) >= ceil(settings.columns * len(report.columns)):
        count = f"{len(drifted)} of {len(report.columns)} columns have drifted"
        yield COLUMNS, f"{count}, {_listed(drifted)}"
    low, held_out, p = report.low_confidence, report.held_out, report.p
    if (
        low is not None
        and held_out is not None
        and p is not None
        and p < settings.significance
        and low.share - held_out.share >= settings.low_confidence_share
    ):
        yield (
            CONFIDENCE,
            f"{100 * low.share:.0f} % of the predictions have a low confidence (95 % interval "
            f"{100 * low.low:.0f} to {100 * low.high:.0f} %), against "
            f"{100 * held_out.share:.0f} % of songs held out of training",
        )
    number = sum(report.unknown.values())
    if report.known and number >= settings.unknown_genres * report.songs:
        count = (
            f"{number} of {report.songs} songs are of genres that the version was not trained on"
        )
        yield GENRES, f"{count}: {_listed(list(report.unknown))}"


def _listed(names: Sequence[str]) -> str:
    """The first of `names`, and the number of others."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def counted(songs: int) -> str:
    """`1 song`, `2 songs`."""
    return f"{songs} song" if songs == 1 else f"{songs} songs"
