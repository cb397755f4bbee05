"""`genre models`, `genre check`, `genre promote`, `genre rollback`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from genre.cli import in_project, printable
from genre.errors import InputError
from genre.files import atomic_folder
from genre.params import PARAMS_FILE, Params, load_params

HASH_LENGTH = 8  # characters that a person compares
ABSENT = "–"
HEADINGS = ("version", "aliases", "registered", "model", "protocol", "accuracy", "data", "commit")
HISTORY_HEADINGS = ("when (UTC)", "what", "by", "champion", "previous", "challenger", "reason")
REASON = click.option("--reason", metavar="TEXT", help="Why; it is kept with the change.")


@click.command()
@click.option("--history", is_flag=True, help="Every change of alias instead, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def models(root: Path, history: bool, as_json: bool) -> None:
    """List the registered versions, newest first.

    Accuracy is of whole songs, with its 95 % interval and the subset that it was measured on.
    """
    from genre import registry

    project, params = _project(root)
    found = registry.history(params, project)[::-1] if history else registry.models(params, project)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found:
        what = "alias was ever given" if history else "version is registered yet"
        click.echo(f"{params.register_.name}: no {what}. Next: make run")
    elif history:
        _print(HISTORY_HEADINGS, [history_cells(change) for change in found])
    else:
        _print(HEADINGS, [cells(row) for row in found])


@click.command()
@click.argument("model", required=False, metavar="[URI]")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Copy what was checked to the new folder FOLDER, for MLflow to load from there.",
)
@click.pass_obj
def check(root: Path, model: str | None, target: Path | None) -> None:
    """Say whether the files of a version are those that were registered.

    URI is models:/NAME@ALIAS or models:/NAME/VERSION; without it, the champion is checked. No file
    is loaded or run. Whatever asks a version through this project does the same check first;
    MLflow alone does not.
    """
    from genre.registry import lookup

    project, params = _project(root)
    if target and target.exists():
        raise InputError(f"--to {target}: is there already, expected a folder to be made")
    uri = model or f"models:/{params.register_.name}@champion"
    with lookup.find(uri, params.tracking, project, parts=lookup.WHOLE) as found:
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

    The gate is not asked: any version whose files are all there may be promoted. Refused is only
    one whose split protocol leaked (pieces of a song on both sides), as its figures are too good
    to be true. The champion before it becomes previous.
    """
    from genre import registry

    project, params = _project(root)
    change = registry.promote(params, project, version, reason)
    if change is None:
        click.echo(f"{params.register_.name}: version {version} is champion already")
    else:
        _say(params, change.before, change.after)


@click.command()
@REASON
@click.pass_obj
def rollback(root: Path, reason: str | None) -> None:
    """Make the champion before today's (alias previous) the champion again.

    Today's becomes previous, so that a second rollback undoes the first. Going further back:
    genre models --history, then genre promote VERSION.
    """
    from genre import registry

    project, params = _project(root)
    change = registry.rollback(params, project, reason)
    _say(params, change.before, change.after)


def cells(row: dict[str, Any]) -> list[str]:
    """The cells of one row of `genre.registry.models`; a dash where a version does not say."""
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
    by = change["by"]
    if by == "hand" and change["user"]:
        by = f"hand ({change['user']})"
    unfinished = "" if change["finished"] else " (cut off: the next change finishes it)"
    return [
        change["time"][:19].replace("T", " "),
        f"{change['action']} {change['version']}{unfinished}",
        by,
        *(_move(change, alias) for alias in ("champion", "previous", "challenger")),
        change["reason"],
    ]


def _move(change: dict[str, Any], alias: str) -> str:
    before, after = (change[side].get(alias, ABSENT) for side in ("before", "after"))
    return before if before == after else f"{before} → {after}"


def _say(params: Params, before: dict[str, str], after: dict[str, str]) -> None:
    was = before.get("champion")
    instead = f" instead of version {was}" if was else ""
    click.echo(f"{params.register_.name}: version {after['champion']} is champion{instead}")


def _project(root: Path) -> tuple[Path, Params]:
    project = in_project(root)
    return project, load_params(project / PARAMS_FILE)


def _print(headings: tuple[str, ...], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)
