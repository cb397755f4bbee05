"""Print predictions for people (a table with bars) and for programs (JSON, CSV)."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from genre.classifier.batch import Result
from genre.core.messages import printable

if TYPE_CHECKING:
    from rich.table import Table

    from genre.classifier import Prediction

BAR_WIDTH = 40


def as_dict(result: Result, version: str | None, *, synthetic: bool) -> dict[str, Any]:
    """A result as plain values: the prediction and its model, or `path` and `error`.

    `model_synthetic` is true if the model was trained on the synthetic demo songs.
    """
    if result.prediction is None:
        return {"path": result.path, "error": result.error}
    prediction = result.prediction.as_dict()
    prediction.pop("timeline", None)
    return {
        "path": result.path,
        **prediction,
        "model_version": version,
        "model_synthetic": synthetic,
    }


def write_json(
    results: Sequence[Result], version: str | None, file: IO[str], *, synthetic: bool
) -> None:
    """Write a JSON list with one object per song; `synthetic` as in `as_dict`."""
    rows = [as_dict(result, version, synthetic=synthetic) for result in results]
    file.write(json.dumps(rows, indent=2, ensure_ascii=True) + "\n")


def write_csv(results: Sequence[Result], version: str | None, file: IO[str]) -> None:
    """Write one row per song: path, genre, probability, genre_2, …, model_version, error, warning.

    If tags were requested, there is a column `tags` before `seconds`, separated by semicolons.
    """
    width = max((len(one.prediction.top) for one in results if one.prediction), default=1)
    suffixes = ["", *(f"_{number}" for number in range(2, width + 1))]
    names = [f"{name}{suffix}" for suffix in suffixes for name in ("genre", "probability")]
    rows = csv.writer(file, lineterminator="\n")
    tagged = any(one.prediction and one.prediction.tags is not None for one in results)
    names += ["tags"] if tagged else []
    rows.writerow(["path", *names, "seconds", "model_version", "error", "warning"])
    for one in results:
        if one.prediction is None:
            rows.writerow([one.path, *[""] * len(names), "", "", one.error, ""])
        else:
            choices = [
                cell for c in one.prediction.top for cell in (c.genre, f"{c.probability:.6f}")
            ]
            choices += ["; ".join(tag.tag for tag in one.prediction.tags or ())] if tagged else []
            seconds, warning = f"{one.prediction.seconds:.3f}", one.prediction.warning or ""
            rows.writerow([one.path, *choices, seconds, version or "", "", warning])


def print_table(classified: Sequence[Result], file: IO[str] | None = None) -> None:
    """Print the genres of each classified song with bars, the most likely first."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, highlight=False, soft_wrap=True)
    genres = [c.genre for one in classified if one.prediction for c in one.prediction.top]
    width = max(len(printable(genre)) for genre in genres)
    for number, one in enumerate(classified):
        assert one.prediction is not None
        if number:
            console.print()
        song = Text(printable(one.path), style="bold", overflow="fold")
        console.print(song.append(f"  {length(one.prediction.seconds)}", style="not bold dim"))
        console.print(bars(one.prediction, width), soft_wrap=False)
        if one.prediction.tags:
            tags = ", ".join(
                f"{tag.tag} {100 * tag.activation:.0f} %" for tag in one.prediction.tags
            )
            console.print(Text(f"sounds like: {tags}", style="dim", overflow="fold"))


def bars(prediction: Prediction, width: int) -> Table:
    """One row per genre: its name in `width` columns, its probability, and a bar of that length."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=width, overflow="fold")
    grid.add_column(width=7, justify="right", no_wrap=True)
    grid.add_column(width=BAR_WIDTH)
    for rank, choice in enumerate(prediction.top):
        colour = "bright_black" if rank else "cyan"
        halves = round(2 * BAR_WIDTH * choice.probability)
        bar = "━" * (halves // 2) + "╸" * (halves % 2)
        grid.add_row(
            Text(printable(choice.genre), style=colour),
            f"{100 * choice.probability:.1f} %",
            Text(bar, style=colour),
        )
    return grid


def length(seconds: float) -> str:
    """A length as `minutes:seconds`, or `hours:minutes:seconds` from one hour on."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def summary(results: Sequence[Result], skipped: int, model: str) -> str:
    """One line: how many songs `model` classified, how many failed, and how many were skipped."""
    classified = [one.prediction for one in results if one.prediction]
    parts = [
        f"{_count(len(classified), 'song') if classified else 'no song'} classified by {model}"
    ]
    if warned := sum(prediction.warning is not None for prediction in classified):
        parts.append(f"{warned} of them probably cut off")
    if failed := len(results) - len(classified):
        parts.append(f"{failed} could not be classified")
    if skipped:
        parts.append(f"{_count(skipped, 'file')} skipped: not audio")
    return "; ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
