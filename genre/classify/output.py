"""The answers, to be read by people (a table with bars) and by programs (JSON, CSV)."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from genre.classify.work import Result
from genre.cli import printable

if TYPE_CHECKING:
    from rich.table import Table

BAR_WIDTH = 24
PLAIN_WIDTH = 120  # columns, where no terminal tells


def as_dict(result: Result, version: str | None) -> dict[str, Any]:
    """A result as plain values: the answer's and `model_version`, or `path` and `error`."""
    if result.answer is None:
        return {"path": result.path, "error": result.error}
    answer = result.answer.as_dict()
    answer.pop("timeline", None)
    return {"path": result.path, **answer, "model_version": version}


def write_json(results: Sequence[Result], version: str | None, file: IO[str]) -> None:
    """A list of objects, one a song."""
    rows = [as_dict(result, version) for result in results]
    file.write(json.dumps(rows, indent=2, ensure_ascii=True) + "\n")


def write_csv(results: Sequence[Result], version: str | None, file: IO[str]) -> None:
    """A row a song: path, genre, probability, genre_2, …, seconds, model_version, error."""
    width = max((len(one.answer.top) for one in results if one.answer), default=1)
    places = ["", *(f"_{number}" for number in range(2, width + 1))]
    names = [f"{name}{place}" for place in places for name in ("genre", "probability")]
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["path", *names, "seconds", "model_version", "error"])
    for one in results:
        if one.answer is None:
            rows.writerow([one.path, *[""] * len(names), "", "", one.error])
        else:
            choices = [cell for c in one.answer.top for cell in (c.genre, f"{c.probability:.6f}")]
            rows.writerow([one.path, *choices, f"{one.answer.seconds:.3f}", version or "", ""])


def print_table(answered: Sequence[Result], file: IO[str] | None = None) -> None:
    """The songs that were answered with their genres, likeliest first, and a bar for each."""
    from rich.console import Console

    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=PLAIN_WIDTH)
    console.print(table(answered))


def table(answered: Sequence[Result]) -> Table:
    """The table that `print_table` shows."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False)
    grid.add_column("song", overflow="fold")
    grid.add_column("length", justify="right", no_wrap=True)
    grid.add_column("genre", overflow="fold", min_width=10)
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("", width=BAR_WIDTH)
    for one in answered:
        assert one.answer is not None
        if grid.row_count:
            grid.add_row()
        song, time = Text(printable(one.path)), length(one.answer.seconds)
        for place, choice in enumerate(one.answer.top):
            style = "cyan" if place == 0 else "bright_black"
            bar = ProgressBar(
                total=1.0,
                completed=choice.probability,
                width=BAR_WIDTH,
                complete_style=style,
                finished_style=style,
                style="black",
            )
            genre = Text(printable(choice.genre), style="" if place else "bold")
            chance = f"{100 * choice.probability:.1f} %"
            grid.add_row("" if place else song, "" if place else time, genre, chance, bar)
    return grid


def length(seconds: float) -> str:
    """Minutes and seconds, as on a record's sleeve; hours where there are any."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def summary(results: Sequence[Result], skipped: int, model: str) -> str:
    """One line: how many were answered, skipped and not heard, and who answered."""
    answered = sum(one.answer is not None for one in results)
    words = [f"{_count(answered, 'song')} by {model}"]
    if skipped:
        words.append(f"{_count(skipped, 'file')} skipped: no audio by content")
    if failed := len(results) - answered:
        words.append(f"{failed} could not be answered")
    return "; ".join(words)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
