"""Classify the songs of a folder and keep the predictions in a Parquet table.

A row per file and version: `path` (below the folder, posix), `sha256`, `model`, `model_version`,
`classified_at` (UTC), `seconds`, `genre`, `probability`, `genre_2`, `probability_2`, `genre_3`,
`probability_3`, `error` (why the file could not be classified), and `warning` (if it is probably
truncated). Files that are not audio have no row. A table is of one folder. A file is classified
again if its content or the version changes, if it could not be read, or if it raised an unexpected
exception (`sha256` is null in these two cases). The table is replaced atomically after each batch.
What drift compares of each song is kept beside it (see `runner.drift_report`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
OUTPUT = Path("reports/classified.parquet")  # as classify.output in params.yaml
OLD_OUTPUT = Path("reports/answers.parquet")  # its former default
OLD_NAMES = {"answered_at": "classified_at"}  # former columns
FOLDER = "folder"  # the attribute of the table with the folder of its paths
COLUMNS = {
    "path": "str",
    "sha256": "str",
    "model": "str",
    "model_version": "str",
    "classified_at": "datetime64[us, UTC]",
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
class PendingSong:
    """A file that this version has not classified yet; without a hash if it cannot be read."""

    path: Path
    sha256: str | None


def find_pending(folder: Path, output: Path, version: str | None) -> tuple[list[PendingSong], int]:
    """Return the songs below `folder` that `version` has not classified; count other files.

    Songs are sorted; the count is of files that are not audio. Raises `InputError` if there is no
    such folder, or `output` is another table or one of another folder.
    """
    from genre.classifier.files import find, seems_audio

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with songs to classify")
    table = read(output)
    before = table.attrs.get(FOLDER, folder_name(folder))
    if before != folder_name(folder):
        raise InputError(
            f"{output}: holds predictions of the folder {before}, not of {folder}; name another "
            "file (--output, or the parameter output)"
        )
    table = table[table["model_version"].fillna("") == (version or "")]
    done = set(zip(table["path"], table["sha256"], strict=True))
    found, skipped = [], 0
    for file in find([folder]):
        if not (seems_audio(file.path) or is_audio(file.path)):
            skipped += 1
            continue
        try:
            sha256 = sha256_of(file.path)
        except OSError:
            sha256 = None
        if (relative_path(file.path, folder), sha256) not in done:
            found.append(PendingSong(file.path, sha256))
    return found, skipped


def classify_songs(
    songs: Sequence[PendingSong], folder: Path, output: Path, found: Found
) -> list[Result]:
    """Classify `songs`, add rows to the table `output`, and return the results."""
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
    before = read(output)
    keys = ["path", "model_version"]
    fresh = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    table = pd.concat([before, fresh]).drop_duplicates(keys, keep="last")
    table = table.sort_values(keys, ignore_index=True)
    table.attrs[FOLDER] = folder_name(folder)
    write_parquet(output, table)
    return results


def classified(
    songs: Sequence[PendingSong], results: Sequence[Result], folder: Path
) -> list[tuple[str, str, Prediction]]:
    """Return path, hash and prediction of each classified song."""
    return [
        (relative_path(song.path, folder), song.sha256, result.prediction)
        for song, result in zip(songs, results, strict=True)
        if result.prediction and song.sha256
    ]


def row(
    song: PendingSong, result: Result, folder: Path, found: Found, now: datetime
) -> dict[str, Any]:
    """Return a row of the table."""
    values: dict[str, Any] = {
        "path": relative_path(song.path, folder),
        "sha256": None if result.defect else song.sha256,
        "model": found.name,
        "model_version": found.version,
        "classified_at": now,
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
    """Read the table, empty if it does not exist. Raises `InputError` if it is another table."""
    import pandas as pd
    import pyarrow as pa

    if not output.exists():
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    try:
        table = pd.read_parquet(output)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{output}: cannot be read ({error}); move it away to classify all songs again"
        ) from error
    table = table.rename(columns=OLD_NAMES)
    if list(table) == list(COLUMNS)[:-1]:  # before there were warnings
        table["warning"] = pd.Series(dtype="str")
    if list(table) != list(COLUMNS):
        raise InputError(
            f"{output}: found the columns {', '.join(map(str, table))}, expected "
            f"{', '.join(COLUMNS)}; name another file"
        )
    return table


def classified_songs(output: Path, version: str | None) -> pd.DataFrame:
    """Return `path` and `sha256` of the songs that `version` has classified."""
    table = read(output)
    kept = (table["model_version"].fillna("") == (version or "")) & table["error"].isna()
    return table.loc[kept, ["path", "sha256"]]


def rename_old_files(output: Path, log: Callable[[str], None]) -> None:
    """Rename a table of the former default name, and the folder of songs beside a table."""
    old = OLD_OUTPUT if output == OUTPUT else output
    if old.exists() and not output.exists():
        old.rename(output)
        log(f"renamed {old} to {output}, the new default of classify.output")
    songs = old.with_name(f"{old.stem}.heard")
    if songs.exists() and not drift_report.songs_folder(output).exists():
        songs.rename(drift_report.songs_folder(output))


def is_audio(path: Path) -> bool:
    """Whether a decoder supports the content of the file."""
    from genre.audio import Stream

    try:
        with Stream(path):
            return True
    except AudioError:
        return False


def batches(songs: Sequence[PendingSong], size: int) -> Iterator[Sequence[PendingSong]]:
    """Yield `songs` in batches of at most `size`."""
    for first in range(0, len(songs), size):
        yield songs[first : first + size]


def folder_name(folder: Path) -> str:
    """The folder as the table stores it: relative to the project if it is inside."""
    here, there = Path().resolve(), folder.resolve()
    return (there.relative_to(here) if there.is_relative_to(here) else there).as_posix()


def relative_path(path: Path, folder: Path) -> str:
    """The path below the folder, posix."""
    return path.relative_to(folder).as_posix()
