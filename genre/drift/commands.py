"""`genre drift`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from genre.classify.commands import found_classifier
from genre.cli import in_project, printable
from genre.errors import InputError
from genre.params import PARAMS_FILE, load_params

DRIFT = 3  # the exit code where it is found
SHOWN = 10  # columns


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON, for programs.")
@click.option(
    "--model",
    metavar="URI",
    help="models:/NAME@ALIAS or models:/NAME/VERSION.  [default: the champion]",
)
@click.pass_obj
def drift(root: Path, folder: Path, as_json: bool, model: str | None) -> int:
    """Say whether the songs in FOLDER are unlike those that the champion learned from.

    All songs below FOLDER are listened to; where it holds genre folders, genres that the champion
    does not know are named. What counts as drift is said in the section drift of params.yaml. The
    exit code is 3 where drift is found, and 0 where it is not, or songs are too few to say.
    """
    from genre.classify import work
    from genre.drift import finding, page, songs
    from genre.drift.reference import NO_REFERENCE, load
    from genre.store import content_hash

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with songs")
    settings = load_params(in_project(root) / PARAMS_FILE).drift
    with found_classifier(root, model) as found:
        if found.reference is None:
            raise InputError(NO_REFERENCE.format(found))
        reference = load(found.reference)
        wanted = {"clip": songs.wanted(reference)}
        results, _ = work.answer([folder], found.folder, wanted, found.compute)
        name = str(found)
    for result in results:
        if result.error:
            click.echo(f"error: {printable(f'{result.path}: {result.error}')}", err=True)
    answered = [
        (Path(one.path).relative_to(folder).as_posix(), content_hash(Path(one.path)), one.answer)
        for one in results
        if one.answer
    ]
    if not answered:
        raise InputError(f"{folder}: no song could be answered, so there is nothing to compare")
    found_out = finding.compare(reference, songs.table(answered, reference), settings)
    if as_json:
        click.echo(json.dumps({"model": name, **found_out.as_dict()}, indent=2, allow_nan=False))
    else:
        for line in page.lines(found_out, settings, SHOWN):
            click.echo(printable(line))
    click.echo(printable(f"{name}: {page.verdict(found_out)}"), err=True)
    return DRIFT if found_out.drift else 0
