"""`genre models`, `genre check`, `genre promote`, `genre rollback`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from genre.cli import in_project, printable
from genre.errors import InputError
from genre.files import atomic_folder
from genre.params import PARAMS_FILE, Params, load_params

GAP = 2  # blanks between columns
WIDEST = 10_000  # of a line in a pipe or file
HASH_LENGTH = 8  # characters that a person compares
ABSENT = "–"
HEADINGS = ("version", "aliases", "registered", "model", "protocol", "accuracy", "data", "commit")
HISTORY_HEADINGS = ("when (UTC)", "champion", "before", "by", "reason")
REASON = click.option("--reason", metavar="TEXT", help="Why; it is kept with the change.")


@click.command()
@click.option("--history", is_flag=True, help="Every change of champion instead, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def models(root: Path, history: bool, as_json: bool) -> None:
    """List the registered versions, newest first.

    Accuracy is of whole songs, with its 95 % interval and the subset that it was measured on. In
    the history, "outside" is a change of the alias champion by another tool, such as MLflow's page.
    """
    from genre import registry

    project, params = _project(root)
    found = registry.history(params, project)[::-1] if history else registry.models(params, project)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        what = "version was ever champion" if history else "version is registered yet"
        click.echo(f"{params.register_.name}: no {what}. Next: make run")
    elif history:
        print_table(HISTORY_HEADINGS, [history_cells(change) for change in found])
    else:
        print_table(HEADINGS, [cells(row) for row in found])


@click.command()
@click.argument("model", required=False, metavar="[URI]")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Copy the verified files to the new folder FOLDER, for MLflow to load from there.",
)
@click.pass_obj
def check(root: Path, model: str | None, target: Path | None) -> None:
    """Verify the files of a registered version.

    URI is models:/NAME@ALIAS or models:/NAME/VERSION; without it, the champion is verified. Every
    file that was registered is compared with its checksum in the registry; no file is loaded or
    run. Whatever else lies beside them is ignored: MLflow adds files when it looks a version up.
    The other commands verify the files that they read; MLflow itself verifies none.
    """
    from genre.registry import artifacts, lookup

    project, params = _project(root)
    if target and target.exists():
        raise InputError(f"--to {target}: exists already, expected a path for a new folder")
    uri = model or f"models:/{params.register_.name}@champion"
    with lookup.find(uri, params.tracking, project, parts=artifacts.ALL) as found:
        name, version = found.name, found.version
        if target:
            with atomic_folder(target) as new:
                shutil.copytree(found.place, new, dirs_exist_ok=True)
    where = f"; copied to {target}" if target else ""
    click.echo(f"{name} version {version}: its files are those that were registered{where}")


@click.command()
@click.argument("version")
@REASON
@click.pass_obj
def promote(root: Path, version: str, reason: str | None) -> None:
    """Make VERSION (a number, or an alias such as challenger) the champion.

    The gate is not asked: any version whose files are as registered may be promoted. Refused is
    only one whose split protocol leaks (segments of one song in several subsets): its figures are
    too good to be true. The champion before it becomes previous.
    """
    from genre import registry

    project, params = _project(root)
    number, before = registry.promote(params, project, version, reason)
    if before is None:
        click.echo(f"{params.register_.name}: version {number} is champion already")
    else:
        _report(params, number, before.champion)


@click.command()
@REASON
@click.pass_obj
def rollback(root: Path, reason: str | None) -> None:
    """Make the champion before this one (alias previous) the champion again.

    This one becomes previous, so that a second rollback undoes the first. Going further back:
    genre models --history, then genre promote VERSION.
    """
    from genre import registry

    project, params = _project(root)
    number, before = registry.rollback(params, project, reason)
    _report(params, number, before.champion)


def cells(row: dict[str, Any]) -> list[str]:
    """The cells of one row of `genre.registry.models`; a dash for what is not known."""
    accuracy = ABSENT
    if row["accuracy"] is not None:
        low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
        accuracy = f"{100 * row['accuracy']:.1f} % ({low:.1f}–{high:.1f}, {row['subset']})"
    return [
        row["version"],
        ", ".join(row["aliases"]) or ABSENT,
        row["created"][:16].replace("T", " "),
        row["model"] or ABSENT,
        row["protocol"] or ABSENT,
        accuracy,
        (row["data_sha256"] or ABSENT)[:HASH_LENGTH],
        (row["git_commit"] or ABSENT)[:HASH_LENGTH],
    ]


def history_cells(change: dict[str, Any]) -> list[str]:
    """The cells of one change of `genre.registry.history`."""
    by = f"{change['by']} ({change['user']})" if change["user"] else change["by"]
    time = (change["time"] or "not recorded")[:19].replace("T", " ")
    return [time, change["version"] or ABSENT, change["replaced"] or ABSENT, by, change["reason"]]


def _report(params: Params, number: str, before: str | None) -> None:
    instead = f" instead of version {before}" if before else ""
    click.echo(f"{params.register_.name}: version {number} is champion{instead}")


def _project(root: Path) -> tuple[Path, Params]:
    project = in_project(root)
    return project, load_params(project / PARAMS_FILE)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose words are never cut.

    A pipe or file gets a line a row. On a terminal cells are wrapped between words; if it is too
    narrow for that, each row is a block with a line a cell.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = [[printable(cell) for cell in row] for row in rows]
    words = [" ".join(column).split() for column in zip(headings, *table, strict=True)]
    widths = [max(map(cell_len, found)) for found in words]
    columns = (Column(name, min_width=width) for name, width in zip(headings, widths, strict=True))
    grid = Table(*columns, box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for row in table:
        grid.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console.width = WIDEST
    if sum(widths) + GAP * (len(widths) - 1) <= console.width:
        console.print(grid)
        return
    for row in table:
        for heading, cell in zip(headings, row, strict=True):
            console.print(Text.assemble((f"{heading}: ", "bold"), cell), overflow="fold")
        console.print()
