"""The findings as a page for a person: sections, times to listen at, commands to copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from shlex import quote
from typing import TYPE_CHECKING

from genre.core.markdown import table
from genre.core.messages import command
from genre.review.findings import (
    DUPLICATE,
    FAULT,
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
    """What stands above the songs of a kind, what stands there instead where there is none."""

    title: str
    words: str
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
        "Models trained without these songs, and without others of their artists where artists "
        "are known, predict another genre. Many will be the models' mistakes: start at the top, "
        "and listen first. The score is the difference of the two probabilities. Test songs are "
        "left out, so that nobody corrects them by what a model predicts.",
        "No label is suspected.",
        _relabel,
    ),
    TWO_GENRES: Section(
        "One recording under several genres",
        "Perhaps a label is wrong, or one of them is a remix that belongs where it is. The "
        "commands keep the longest recording of each group; if another one has the right genre, "
        "remove the others instead.",
        "No recording is filed under several genres.",
        _remove,
    ),
    FAULT: Section(
        "Clips that are mostly noise",
        "Noise, hum, digital silence or overdrive in most of what the pipeline cuts out of the "
        "song. The score is the share of the clip.",
        "No clip is mostly noise.",
        _remove,
    ),
    DUPLICATE: Section(
        "Near-duplicates",
        "The same recording again: at another bit rate or level, or an excerpt. They stay "
        "together in the split, so they do no harm but count twice. The commands "
        "keep the longest of each group.",
        "No near-duplicates were found.",
        _remove,
    ),
    SET_ASIDE: Section(
        "Files set aside",
        "The pipeline works without them.",
        "No file was set aside.",
        _remove,
    ),
}


def page(findings: pd.DataFrame, *, heard: str, most: int) -> str:
    """The findings (see `genre.review`) as Markdown, at most `most` songs in each section.

    `heard` says in a sentence or two what was looked at.
    """
    lines = [
        "# Review of the collection",
        "",
        heard,
        "Nothing has been changed: these are songs to listen to. Times are those of the song in "
        "`data/raw`. The commands can be pasted into a shell in the project's folder, one by one, "
        "after listening; the whole list is in `review.csv`.",
        "",
    ]
    parts = {kind: findings[findings["kind"] == kind] for kind in KINDS}
    counts = [(SECTIONS[kind].title, len(part)) for kind, part in parts.items()]
    lines.append(table(["what", "songs"], counts))
    for kind, part in parts.items():
        lines += ["", *_section(SECTIONS[kind], part, most)]
    return "\n".join(lines) + "\n"


def _section(section: Section, part: pd.DataFrame, most: int) -> list[str]:
    lines = [f"## {section.title}", ""]
    if part.empty:
        return [*lines, section.none]
    shown: list[Row] = part.head(most).to_dict("records")
    rows = [
        (
            row["path"],
            row["what"],
            _listen(row["start_s"], row["end_s"]),
            "" if isnan(row["score"]) else f"{row['score']:.2f}",
        )
        for row in shown
    ]
    lines += [section.words, "", table(["song", "what", "listen at", "score"], rows, left=3)]
    if len(part) > len(shown):
        lines += ["", f"… and {len(part) - len(shown)} more in `review.csv`."]
    return [*lines, "", "```sh", *(section.fix(row) for row in shown), "```"]


def _listen(start: float, end: float) -> str:
    """`1:05–1:08`, empty where there is nothing to listen to."""
    if isnan(start):
        return ""
    return "–".join(f"{int(at) // 60}:{int(at) % 60:02d}" for at in (start, end))


def _arguments(*words: str) -> str:
    """Words as a shell takes them; after `--` where one could be taken for an option."""
    options = "-- " if any(word.startswith("-") for word in words) else ""
    return options + " ".join(quote(word) for word in words)
