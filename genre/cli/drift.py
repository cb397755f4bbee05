"""`genre drift`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from genre.core.errors import InputError
from genre.core.messages import printable
from genre.core.params import PARAMS_FILE, load_params, project_folder
from genre.registry.resolve import found_classifier

DRIFT = 3  # the exit code if there is drift


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--model",
    metavar="URI",
    help="models:/NAME@ALIAS or models:/NAME/VERSION.  [default: the champion]",
)
@click.pass_obj
def drift(root: Path, folder: Path, as_json: bool, model: str | None) -> int:
    """Compare the songs in FOLDER with the champion's training songs.

    All songs below FOLDER are classified; if it holds genre folders, genres without training songs
    are reported. Thresholds are in the section drift of params.yaml. The exit code is 3 if there is
    drift, and 0 if there is none or there are too few songs.
    """
    from genre.classifier import batch
    from genre.core.files import sha256_of
    from genre.drift import page, report
    from genre.drift.reference import NO_REFERENCE, load

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with songs")
    settings = load_params(project_folder(root) / PARAMS_FILE).drift
    with found_classifier(root, model) as found:
        if found.reference is None:
            raise InputError(NO_REFERENCE.format(found))
        reference = load(found.reference)
        wanted = {"clip": report.clip_request(reference)}
        results, _ = batch.classify_songs([folder], found.folder, wanted, found.compute)
        name = str(found)
    classified = []
    for result in results:
        path = Path(result.path)
        if result.prediction:
            classified.append(
                (path.relative_to(folder).as_posix(), sha256_of(path), result.prediction)
            )
        else:
            click.echo(f"error: {printable(f'{path}: {result.error}')}", err=True)
    if not classified:
        raise InputError(f"{folder}: no song could be classified")
    compared = report.compare(reference, report.table(classified, reference), settings)
    if as_json:
        click.echo(json.dumps({"model": name, **compared.as_dict()}, indent=2, allow_nan=False))
    else:
        for line in page.markdown(compared, settings, name).splitlines():
            click.echo(printable(line))
    click.echo(printable(f"{name}: {compared.verdict}"), err=True)
    return DRIFT if compared.alerts else 0
