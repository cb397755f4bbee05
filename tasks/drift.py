"""Drift of the songs that `tasks.classify` answers: what was heard is kept, and what it shows.

Beside the table of answers, `answers.parquet` for one, lie

- `answers.heard/<name>-<version>.parquet`: what a version heard of each song that it answered (see
  `genre.drift.songs`), so that nothing is listened to twice;
- `drift.md`, `drift.png`, `drift.json`: the finding about the songs that the version has answered.

The heard songs are written before their answers: a song that has an answer of a version with a
reference, and nothing heard, was answered before that was kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.drift import finding, page, songs
from genre.drift.reference import Reference, load
from genre.errors import InputError
from genre.files import write_json, write_parquet, write_text
from genre.params import DriftParams

if TYPE_CHECKING:
    import pandas as pd

    from genre.classifier import Answer
    from genre.classify.commands import Found
    from genre.drift.finding import Finding

PAGE, PICTURE, FIGURES = "drift.md", "drift.png", "drift.json"


@dataclass(frozen=True)
class Measured:
    """A finding, and what it was made of; `unheard` songs have an answer and nothing heard."""

    finding: Finding
    reference: Reference
    heard: pd.DataFrame
    unheard: int


def reference_of(found: Found) -> Reference | None:
    """What the version keeps of its training songs; null where it keeps nothing.

    Raises `InputError` where that is damaged.
    """
    return load(found.reference) if found.reference else None


def usable_reference(found: Found) -> Reference | None:
    """As `reference_of`, but null too where it is damaged: songs are answered all the same."""
    try:
        return reference_of(found)
    except InputError:
        return None


def heard_file(output: Path, found: Found) -> Path:
    """Where what the version heard of the songs in the table `output` is kept."""
    return output.with_name(f"{output.stem}.heard") / f"{found.name}-{found.version}.parquet"


def keep(
    answered: Sequence[tuple[str, str, Answer]], output: Path, found: Found, reference: Reference
) -> None:
    """Keep what was heard of songs, given as path, hash and answer; a path replaces its older self.

    Raises `InputError` where the file is no such table.
    """
    import pandas as pd

    fresh = songs.table(answered, reference)
    path = heard_file(output, found)
    known = read(path, reference)
    table = pd.concat([known, fresh]) if len(known) else fresh
    table = table.drop_duplicates("path", keep="last").sort_values("path", ignore_index=True)
    write_parquet(path, table)


def read(path: Path, reference: Reference) -> pd.DataFrame:
    """What was heard so far; an empty table where nothing was, `InputError` where it is another."""
    import pandas as pd
    import pyarrow as pa

    empty = songs.table([], reference)
    if not path.exists():
        return empty
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); move it away: songs answered so far are then not "
            "compared"
        ) from error
    if list(table) != list(empty):
        raise InputError(
            f"{path}: has other columns than this version compares; move it away: songs answered "
            "so far are then not compared"
        )
    return table


def measure(
    output: Path, answered: pd.DataFrame, found: Found, reference: Reference, settings: DriftParams
) -> Measured:
    """Compare songs with the reference of the version that has answered them.

    `answered` has the `path` and `sha256` of each; `output` is the table that they are from.
    """
    heard = read(heard_file(output, found), reference)
    heard = heard.merge(answered, on=["path", "sha256"])
    compared = finding.compare(reference, heard, settings)
    return Measured(compared, reference, heard, len(answered) - len(heard))


def report(
    measured: Measured, output: Path, found: Found, settings: DriftParams, further: Sequence[str]
) -> str:
    """Write page and picture beside `output`; return the page without the picture."""
    from genre import figures
    from genre.drift.picture import draw

    title = f"New songs against the training songs of {found}"
    figure = draw(measured.finding, measured.reference, measured.heard, settings, title)
    figures.save(figure, output.with_name(PICTURE))
    if measured.unheard:
        further = [
            *further,
            f"Not compared: {page.count(measured.unheard, 'song')} that were answered without "
            "keeping what was heard.",
        ]
    text = page.markdown(measured.finding, settings, str(found), further=further, picture=PICTURE)
    write_text(output.with_name(PAGE), text)
    return page.markdown(measured.finding, settings, str(found), further=further)


def figures_of(measured: Measured, found: Found, asked: dict[str, Any] | None) -> dict[str, Any]:
    """What `drift.json` holds; `asked` is the retraining that was asked for, if any."""
    values = {
        "model": found.name,
        "version": found.version,
        "unheard": measured.unheard,
        "retraining": asked,
        **measured.finding.as_dict(),
    }
    kept: dict[str, Any] = json.loads(json.dumps(values))  # as they are read back
    return kept


def write_figures(output: Path, values: dict[str, Any]) -> None:
    """Write `drift.json` beside `output`."""
    write_json(output.with_name(FIGURES), values)


def read_figures(output: Path, found: Found) -> dict[str, Any]:
    """What `drift.json` says of the version; empty where it says nothing, or is damaged."""
    try:
        values = json.loads(output.with_name(FIGURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = isinstance(values, dict) and values.get("version") == found.version
    return values if same and values.get("model") == found.name else {}
