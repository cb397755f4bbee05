"""The answers, to be read by people (a table with bars) and by programs (JSON, CSV)."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from genre.classifier.batch import Result
from genre.core.messages import printable

if TYPE_CHECKING:
    from rich.table import Table

    from genre.classifier import Answer

BAR_WIDTH = 40


def as_dict(result: Result, version: str | None, *, synthetic: bool) -> dict[str, Any]:
    """A result as plain values, or `path` and `error`.

    The prediction's, `model_version` and `model_synthetic`, whether the model was trained on the
    synthetic demo songs.
    """
    if result.answer is None:
        return {"path": result.path, "error": result.error}
    answer = result.answer.as_dict()
    answer.pop("timeline", None)
    return {
        "path": result.path,
        **answer,
        "model_version": version,
        "model_synthetic": synthetic,
    }


def write_json(
    results: Sequence[Result], version: str | None, file: IO[str], *, synthetic: bool
) -> None:
    """A list of objects, one a song; `synthetic` as in `as_dict`."""
    rows = [as_dict(result, version, synthetic=synthetic) for result in results]
    file.write(json.dumps(rows, indent=2, ensure_ascii=True) + "\n")


def write_csv(results: Sequence[Result], version: str | None, file: IO[str]) -> None:
    """A row a song: path, genre, probability, genre_2, …, seconds, model_version, error, warning.

    Before `seconds` stands `tags` where any were asked for, separated by semicolons.
    """
    width = max((len(one.answer.top) for one in results if one.answer), default=1)
    places = ["", *(f"_{number}" for number in range(2, width + 1))]
    names = [f"{name}{place}" for place in places for name in ("genre", "probability")]
    rows = csv.writer(file, lineterminator="\n")
    tagged = any(one.answer and one.answer.tags is not None for one in results)
    names += ["tags"] if tagged else []
    rows.writerow(["path", *names, "seconds", "model_version", "error", "warning"])
    for one in results:
        if one.answer is None:
            rows.writerow([one.path, *[""] * len(names), "", "", one.error, ""])
        else:
            choices = [cell for c in one.answer.top for cell in (c.genre, f"{c.probability:.6f}")]
            choices += ["; ".join(tag.tag for tag in one.answer.tags or ())] if tagged else []
            seconds, warning = f"{one.answer.seconds:.3f}", one.answer.warning or ""
            rows.writerow([one.path, *choices, seconds, version or "", "", warning])


def print_table(answered: Sequence[Result], file: IO[str] | None = None) -> None:
    """The songs that were answered, each with its genres, likeliest first, and their bars."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, highlight=False, soft_wrap=True)
    genres = [c.genre for one in answered if one.answer for c in one.answer.top]
    width = max(len(printable(genre)) for genre in genres)
    for number, one in enumerate(answered):
        assert one.answer is not None
        if number:
            console.print()
        song = Text(printable(one.path), style="bold", overflow="fold")
        console.print(song.append(f"  {length(one.answer.seconds)}", style="not bold dim"))
        console.print(bars(one.answer, width), soft_wrap=False)
        if one.answer.tags:
            words = ", ".join(f"{tag.tag} {100 * tag.activation:.0f} %" for tag in one.answer.tags)
            console.print(Text(f"sounds like: {words}", style="dim", overflow="fold"))


def bars(answer: Answer, width: int) -> Table:
    """A row a genre: its name in `width` columns, how likely it is, and a bar as long."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=width, overflow="fold")
    grid.add_column(width=7, justify="right", no_wrap=True)
    grid.add_column(width=BAR_WIDTH)
    for place, choice in enumerate(answer.top):
        colour = "bright_black" if place else "cyan"
        halves = round(2 * BAR_WIDTH * choice.probability)
        bar = "━" * (halves // 2) + "╸" * (halves % 2)
        grid.add_row(
            Text(printable(choice.genre), style=colour),
            f"{100 * choice.probability:.1f} %",
            Text(bar, style=colour),
        )
    return grid


def length(seconds: float) -> str:
    """Minutes and seconds, as on a record's sleeve; hours where there are any."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def summary(results: Sequence[Result], skipped: int, model: str) -> str:
    """One line: how many songs `model` classified, how many failed, and how many were skipped."""
    answered = [one.answer for one in results if one.answer]
    words = [f"{_count(len(answered), 'song') if answered else 'no song'} classified by {model}"]
    if warned := sum(answer.warning is not None for answer in answered):
        words.append(f"{warned} of them probably cut off")
    if failed := len(results) - len(answered):
        words.append(f"{failed} could not be classified")
    if skipped:
        words.append(f"{_count(skipped, 'file')} skipped: not audio")
    return "; ".join(words)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
