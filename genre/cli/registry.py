"""`genre models`, `genre check`, `genre promote`, `genre rollback`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from genre.core.messages import printable
from genre.core.params import PARAMS_FILE, Params, load_params, project_folder
from genre.registry.aliases import FIGURES

MAX_WIDTH = 10_000  # of a line in a pipe or file
HASH_LENGTH = 8  # characters shown of a hash
HEADINGS = ("version", "aliases", "registered", "model", "protocol", "accuracy", "data", "commit")
HISTORY_HEADINGS = ("when (UTC)", "version", "by", "reason")
REASON = click.option("--reason", metavar="TEXT", help="The reason, stored with the version.")


@click.command()
@click.option("--history", is_flag=True, help="List when and why versions became champion.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def models(root: Path, history: bool, as_json: bool) -> None:
    """List the registered versions, newest first.

    Accuracy is of whole songs, with its 95 % interval and subset. The history has the last
    promotion of each version, newest first, without aliases that were moved in MLflow directly.
    """
    from genre import registry

    project, params = _project(root)
    found = (registry.history if history else registry.models)(params, project)
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
@click.pass_obj
def check(root: Path, model: str | None) -> None:
    """Verify the files of a registered version.

    URI is models:/NAME@ALIAS or models:/NAME/VERSION; the default is the champion. Every file that
    this project loads (the classifier, its training songs, the drift reference) is compared with
    its checksum in the registry, as each command does before loading. MLflow itself verifies none.
    """
    from genre.registry import lookup

    project, params = _project(root)
    uri = model or f"models:/{params.register_.name}@champion"
    with lookup.find(uri, params.tracking, project) as found:
        click.echo(f"{found.name} version {found.version}: all files match their checksums")


@click.command()
@click.argument("version")
@REASON
@click.pass_obj
def promote(root: Path, version: str, reason: str | None) -> None:
    """Make VERSION (a number, or an alias such as challenger) the champion.

    The gate is not applied: any version whose files are intact may be promoted, unless its split
    protocol leaks (segments of a song in several subsets). The champion becomes previous, and
    challenger is cleared.
    """
    from genre import registry

    project, params = _project(root)
    _report(params, *registry.promote(params, project, version, reason))


@click.command()
@REASON
@click.pass_obj
def rollback(root: Path, reason: str | None) -> None:
    """Make the previous champion (alias previous) the champion again.

    The champion becomes previous, so a second rollback undoes the first. To go further back: genre
    models --history, then genre promote VERSION.
    """
    from genre import registry

    project, params = _project(root)
    _report(params, *registry.rollback(params, project, reason))


def cells(row: dict[str, Any]) -> list[str | None]:
    """Format a row of `genre.registry.models`."""
    figures, accuracy = [row[name] for name in FIGURES], None
    if None not in figures:
        value, low, high = (100 * figure for figure in figures)
        accuracy = f"{value:.1f} % ({low:.1f}–{high:.1f}, {row['subset']})"
    return [
        row["version"],
        ", ".join(row["aliases"]),
        row["created"][:16].replace("T", " "),
        row["model"],
        row["protocol"],
        accuracy,
        (row["data_sha256"] or "")[:HASH_LENGTH],
        (row["git_commit"] or "")[:HASH_LENGTH],
    ]


def history_cells(change: dict[str, Any]) -> list[str | None]:
    """Format a row of `genre.registry.history`."""
    return [
        change["time"][:19].replace("T", " "),
        *(change[k] for k in ("version", "by", "reason")),
    ]


def _report(params: Params, number: str, before: str | None) -> None:
    what = " already" if before == number else f" instead of version {before}" if before else ""
    click.echo(f"{params.register_.name}: version {number} is champion{what}")


def _project(root: Path) -> tuple[Path, Params]:
    project = project_folder(root)
    return project, load_params(project / PARAMS_FILE)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    """Print a table, with a dash for empty cells; cells are wrapped only on a terminal."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    columns = (Column(heading, overflow="fold") for heading in headings)
    grid = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*(Text(printable(cell or "–")) for cell in row))
    console = Console()
    if not console.is_terminal:
        console.width = MAX_WIDTH
    console.print(grid)
