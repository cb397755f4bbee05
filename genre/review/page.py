"""The findings as a Markdown page: sections, times to play, commands to copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from shlex import quote
from typing import TYPE_CHECKING

from genre.core.markdown import table
from genre.core.messages import command
from genre.review.findings import (
    DEFECT,
    DUPLICATE,
    KINDS,
    LABEL,
    RELABEL,
    SET_ASIDE,
    TWO_GENRES,
    Row,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Section:
    """The texts of a kind of finding: with findings, without, and the command that fixes one."""

    title: str
    text: str
    none: str
    fix: Callable[[Row], str]


def _relabel(row: Row) -> str:
    return command(
        f"genre relabel {_arguments(row['path'], row['suggestion'].removeprefix(RELABEL))}"
    )


def _remove(row: Row) -> str:
    return command(f"genre remove {_arguments(row['path'])}")


SECTIONS = {
    LABEL: Section(
        "Labels to check",
        "Models trained without these songs, and without others of their artists (if artists "
        "are known), predict another genre. Many of these are mistakes of the models: start at "
        "the top, and listen first. The score is the difference of the two probabilities. Test "
        "songs are left out, so that models do not influence their labels.",
        "No label is suspected.",
        _relabel,
    ),
    TWO_GENRES: Section(
        "One recording under several genres",
        "A label may be wrong, or one of them may be a remix that belongs where it is. The "
        "commands keep the longest recording of each group; if another one has the right genre, "
        "remove the others instead.",
        "No recording is filed under several genres.",
        _remove,
    ),
    DEFECT: Section(
        "Clips that are mostly noise",
        "Noise, hum, digital silence or clipping in most of the 30 s clip of the song. The score "
        "is the share of the clip.",
        "No clip is mostly noise.",
        _remove,
    ),
    DUPLICATE: Section(
        "Near-duplicates",
        "The same recording again: at another bit rate or level, or an excerpt. They stay "
        "together in the split, so they do not leak but count twice. The commands "
        "keep the longest of each group.",
        "No near-duplicates were found.",
        _remove,
    ),
    SET_ASIDE: Section(
        "Files set aside",
        "The pipeline does not use them.",
        "No file was set aside.",
        _remove,
    ),
}


def page(findings: pd.DataFrame, *, scope: str, rows_shown: int) -> str:
    """The findings (see `genre.review`) as Markdown, at most `rows_shown` songs in each section.

    `scope` is a sentence or two about what was reviewed.
    """
    lines = [
        "# Review of the collection",
        "",
        scope,
        "Nothing has been changed. Listen to a song before you run its command in the project's "
        "folder. Times are those of the song in `data/raw`; the whole list is in `review.csv`.",
        "",
    ]
    parts = {kind: findings[findings["kind"] == kind] for kind in KINDS}
    counts = [(SECTIONS[kind].title, len(part)) for kind, part in parts.items()]
    lines.append(table(["what", "songs"], counts))
    for kind, part in parts.items():
        lines += ["", *_section(SECTIONS[kind], part, rows_shown)]
    return "\n".join(lines) + "\n"


def _section(section: Section, part: pd.DataFrame, rows_shown: int) -> list[str]:
    lines = [f"## {section.title}", ""]
    if part.empty:
        return [*lines, section.none]
    shown: list[Row] = part.head(rows_shown).to_dict("records")
    rows = [
        (
            row["path"],
            row["what"],
            _times_to_play(row["start_s"], row["end_s"]),
            "" if isnan(row["score"]) else f"{row['score']:.2f}",
        )
        for row in shown
    ]
    lines += [section.text, "", table(["song", "what", "play at", "score"], rows, left=3)]
    if len(part) > len(shown):
        lines += ["", f"… and {len(part) - len(shown)} more in `review.csv`."]
    return [*lines, "", "```sh", *(section.fix(row) for row in shown), "```"]


def _times_to_play(start: float, end: float) -> str:
    """`1:05–1:08`, or nothing if `start` is missing."""
    if isnan(start):
        return ""
    return "–".join(f"{int(at) // 60}:{int(at) % 60:02d}" for at in (start, end))


def _arguments(*arguments: str) -> str:
    """Arguments quoted for a shell, after `--` if one of them begins with a dash."""
    options = "-- " if any(one.startswith("-") for one in arguments) else ""
    return options + " ".join(map(quote, arguments))
