"""Answers for a folder of songs, kept in one Parquet file: only what is new is listened to.

Conventions: a row a file, by its content and the version that answered: `path` (below the folder,
with slashes), `sha256`, `model`, `model_version`, `answered_at` (UTC), `seconds`, `genre`,
`probability`, `genre_2`, `probability_2`, `genre_3`, `probability_3`, `error`, filled in if the
file could not be classified, and `warning`, if it was probably cut off. Files that are not audio
(covers, playlists, texts) have no row. A table is of one folder. A file is classified again if its
content or the version changes, if it could not be read, or if it met a defect of the program (its
`sha256` is then null, as it is for an unreadable file). The table is replaced in one step, batch by
batch. What drift compares of each song is kept beside it (see `runner.drift_report`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.core.errors import AudioError, InputError
from genre.core.files import sha256_of, write_parquet
from runner import drift_report

if TYPE_CHECKING:
    import pandas as pd

    from genre.classifier import Prediction
    from genre.classifier.batch import Result
    from genre.registry.resolve import Found

TOP = 3
FOLDER = "folder"  # the attribute of the table that tells which folder its paths are below
COLUMNS = {
    "path": "str",
    "sha256": "str",
    "model": "str",
    "model_version": "str",
    "answered_at": "datetime64[us, UTC]",
    "seconds": "float64",
    **{
        name: kind
        for place in ("", *(f"_{number}" for number in range(2, TOP + 1)))
        for name, kind in ((f"genre{place}", "str"), (f"probability{place}", "float64"))
    },
    "error": "str",
    "warning": "str",
}


@dataclass(frozen=True)
class Waiting:
    """A file of the folder that this version has not answered yet; no hash where unreadable."""

    path: Path
    sha256: str | None


def waiting(folder: Path, output: Path, version: str | None) -> tuple[list[Waiting], int]:
    """The songs below `folder` that `version` has not classified, sorted; how many are not audio.

    Raises `InputError` where there is no such folder, or `output` is no table of ours or one of
    another folder, whose paths would be taken for this one's.
    """
    from genre.classifier.files import find, seems_audio

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with songs to answer")
    known = read(output)
    before = known.attrs.get(FOLDER, told(folder))
    if before != told(folder):
        raise InputError(
            f"{output}: holds answers of the folder {before}, and songs of {folder} are to be "
            "answered; name another file for them (--output, or the parameter output)"
        )
    known = known[known["model_version"].fillna("") == (version or "")]
    answered = set(zip(known["path"], known["sha256"], strict=True))
    found, skipped = [], 0
    for file in find([folder]):
        if not (seems_audio(file.path) or is_audio(file.path)):
            skipped += 1
            continue
        try:
            sha256 = sha256_of(file.path)
        except OSError:
            sha256 = None
        if (relative(file.path, folder), sha256) not in answered:
            found.append(Waiting(file.path, sha256))
    return found, skipped


def answer(songs: Sequence[Waiting], folder: Path, output: Path, found: Found) -> list[Result]:
    """Classify `songs` with the classifier `found`, add them to `output`; returns the results."""
    import pandas as pd

    from genre.classifier import batch
    from genre.drift.reference import load
    from genre.drift.report import clip_request

    reference = load(found.reference) if found.reference else None
    settings = {"top": TOP, "clip": clip_request(reference) if reference else None}
    results, _ = batch.classify_songs(
        [song.path for song in songs], found.folder, settings, found.compute
    )
    now = datetime.now(UTC)
    rows = [
        row(song, result, folder, found, now) for song, result in zip(songs, results, strict=True)
    ]
    if reference and found.version:
        drift_report.add_songs(classified(songs, results, folder), output, found, reference)
    known = read(output)
    keys = ["path", "model_version"]
    fresh = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    table = pd.concat([known, fresh]).drop_duplicates(keys, keep="last")
    table = table.sort_values(keys, ignore_index=True)
    table.attrs[FOLDER] = told(folder)
    write_parquet(output, table)
    return results


def classified(
    songs: Sequence[Waiting], results: Sequence[Result], folder: Path
) -> list[tuple[str, str, Prediction]]:
    """The path, hash and prediction of each song that was classified."""
    return [
        (relative(song.path, folder), song.sha256, result.prediction)
        for song, result in zip(songs, results, strict=True)
        if result.prediction and song.sha256
    ]


def row(song: Waiting, result: Result, folder: Path, found: Found, now: datetime) -> dict[str, Any]:
    """One row of the table."""
    values: dict[str, Any] = {
        "path": relative(song.path, folder),
        "sha256": None if result.defect else song.sha256,
        "model": found.name,
        "model_version": found.version,
        "answered_at": now,
        "error": result.error,
    }
    if result.prediction:
        values["seconds"] = result.prediction.seconds
        values["warning"] = result.prediction.warning
        for number, choice in enumerate(result.prediction.top, start=1):
            place = f"_{number}" if number > 1 else ""
            values[f"genre{place}"] = choice.genre
            values[f"probability{place}"] = choice.probability
    return values


def read(output: Path) -> pd.DataFrame:
    """The answers so far; an empty table where there are none, `InputError` where it is another."""
    import pandas as pd
    import pyarrow as pa

    if not output.exists():
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    try:
        table = pd.read_parquet(output)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{output}: cannot be read ({error}); move it away to answer everything anew"
        ) from error
    if list(table) == list(COLUMNS)[:-1]:  # of a version that knew no warnings
        table["warning"] = pd.Series(dtype="str")
    if list(table) != list(COLUMNS):
        raise InputError(
            f"{output}: found the columns {', '.join(map(str, table))}, expected "
            f"{', '.join(COLUMNS)}; name another file"
        )
    return table


def answered(output: Path, version: str | None) -> pd.DataFrame:
    """The `path` and `sha256` of the songs that `version` has answered."""
    table = read(output)
    kept = (table["model_version"].fillna("") == (version or "")) & table["error"].isna()
    return table.loc[kept, ["path", "sha256"]]


def is_audio(path: Path) -> bool:
    """Whether a decoder knows what is in the file."""
    from genre.audio import Stream

    try:
        with Stream(path):
            return True
    except AudioError:
        return False


def batches(songs: Sequence[Waiting], size: int) -> Iterator[Sequence[Waiting]]:
    """`songs` in parts of at most `size`."""
    for first in range(0, len(songs), size):
        yield songs[first : first + size]


def told(folder: Path) -> str:
    """How a table names the folder that it is of: below the project's where it lies in that."""
    here, there = Path().resolve(), folder.resolve()
    return (there.relative_to(here) if there.is_relative_to(here) else there).as_posix()


def relative(path: Path, folder: Path) -> str:
    """The path below the folder, with slashes."""
    return path.relative_to(folder).as_posix()
