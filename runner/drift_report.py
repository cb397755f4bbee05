"""The drift report of the songs that `runner.classify_folder` has classified.

Beside the table of predictions, `classified.parquet` say, are

- `classified.songs/<name>-<version>.parquet`: the table of `genre.drift.report` with the features
  that a version computed of each song, so that no song is decoded twice;
- `drift.md`, `drift.png`, `drift.json`: the report on the songs that the version has classified.

The first is written before the predictions, so a classified song that is not in it was classified
by a version without a reference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.core.errors import InputError
from genre.core.files import write_json, write_parquet, write_text
from genre.core.params import DriftParams
from genre.drift import page
from genre.drift.reference import Reference
from genre.drift.report import Report, compare, table

if TYPE_CHECKING:
    import pandas as pd

    from genre.classifier import Prediction
    from genre.registry.resolve import Found

PAGE, PICTURE, FIGURES = "drift.md", "drift.png", "drift.json"


@dataclass(frozen=True)
class Comparison:
    """A report, the reference and the compared songs."""

    report: Report
    reference: Reference
    songs: pd.DataFrame


def songs_folder(output: Path) -> Path:
    """The folder beside the table `output` with the features of its songs."""
    return output.with_name(f"{output.stem}.songs")


def songs_file(output: Path, found: Found) -> Path:
    """The file with the features of the songs that the version `found` has classified."""
    return songs_folder(output) / f"{found.name}-{found.version}.parquet"


def add_songs(
    classified: Sequence[tuple[str, str, Prediction]],
    output: Path,
    found: Found,
    reference: Reference,
) -> None:
    """Add songs, given as path, hash and prediction, to `songs_file`, a row per path.

    Raises `InputError` if the file cannot be read.
    """
    import pandas as pd

    path = songs_file(output, found)
    songs = pd.concat([read_songs(path, reference), table(classified, reference)])
    songs = songs.drop_duplicates("path", keep="last").sort_values("path", ignore_index=True)
    write_parquet(path, songs)


def read_songs(path: Path, reference: Reference) -> pd.DataFrame:
    """Read the songs in `path`, if it exists. Raises `InputError` if it cannot be read."""
    import pandas as pd
    import pyarrow as pa

    none = table([], reference)
    if not path.exists():
        return none
    try:
        songs = pd.read_parquet(path)
        if list(songs) != list(none):
            raise ValueError("other columns than this version compares")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); move it away; songs classified so far are then not "
            "compared"
        ) from error
    return songs


def compare_songs(
    output: Path,
    classified: pd.DataFrame,
    found: Found,
    reference: Reference,
    settings: DriftParams,
) -> Comparison:
    """Compare the songs `classified` (`path`, `sha256`) of `output` with `reference`."""
    songs = read_songs(songs_file(output, found), reference)
    songs = songs.merge(classified, on=["path", "sha256"])
    missing = len(classified) - len(songs)
    return Comparison(compare(reference, songs, settings, missing), reference, songs)


def report_values(report: Report, found: Found, retraining: str | None) -> dict[str, Any]:
    """Return the content of `drift.json`; `retraining` is the requested run, if any."""
    about = {"model": found.name, "version": found.version, "retraining_run": retraining}
    values = {**about, **report.as_dict()}
    plain: dict[str, Any] = json.loads(json.dumps(values))  # as `last_values` reads it
    return plain


def last_values(output: Path, found: Found) -> dict[str, Any]:
    """Read `drift.json`; empty if it is missing or of another version."""
    try:
        values = json.loads(output.with_name(FIGURES).read_text(encoding="utf-8"))
        same = (values["model"], values["version"]) == (found.name, found.version)
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return dict(values) if same else {}


def write(
    compared: Comparison,
    figures: dict[str, Any],
    output: Path,
    found: Found,
    settings: DriftParams,
    notes: Sequence[str],
) -> str:
    """Write page, picture and JSON of the report; return the page without the picture."""
    from genre import figures as drawing
    from genre.drift.picture import draw

    title = f"New songs against the training songs of {found}"
    confidence = compared.songs["confidence"].dropna().to_numpy()
    picture = draw(compared.report, compared.reference, confidence, settings, title)
    drawing.save(picture, output.with_name(PICTURE))
    text = page.markdown(compared.report, settings, str(found), notes=notes, picture=PICTURE)
    write_text(output.with_name(PAGE), text)
    write_json(output.with_name(FIGURES), figures)
    return page.markdown(compared.report, settings, str(found), notes=notes)
