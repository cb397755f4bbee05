"""`genre models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genre.cli import in_project
from genre.params import PARAMS_FILE, load_params

HASH_LENGTH = 8  # characters that a person compares
HEADINGS = ("version", "aliases", "registered", "model", "protocol", "accuracy", "data", "commit")


@click.command()
@click.pass_obj
def models(root: Path) -> None:
    """List the registered versions, newest first.

    Accuracy is of whole songs, with its 95 % interval.
    """
    from rich.console import Console
    from rich.table import Table

    from genre import registry

    project = in_project(root)
    params = load_params(project / PARAMS_FILE)
    found = registry.models(params, project)
    if not found:
        click.echo(f"No version of {params.register_.name} is registered yet. Next: make run")
        return
    table = Table(*HEADINGS, box=None, pad_edge=False)
    for row in found:
        table.add_row(*cells(row))
    Console().print(table)


def cells(row: dict[str, Any]) -> list[str]:
    """The cells of one row of `genre.registry.models`; a dash where a version does not say."""
    accuracy = "–"
    if row["accuracy"] is not None:
        low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
        accuracy = f"{100 * row['accuracy']:.1f} % ({low:.1f}–{high:.1f}, {row['subset']})"
    return [
        row["version"],
        ", ".join(row["aliases"]) or "–",
        row["created"][:16].replace("T", " "),
        row["model"] or "–",
        row["protocol"] or "–",
        accuracy,
        (row["data_sha256"] or "–")[:HASH_LENGTH],
        (row["git_commit"] or "–")[:HASH_LENGTH],
    ]
