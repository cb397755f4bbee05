"""`genre classify`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from genre.cli import BAD_INPUT, model_option
from genre.core.errors import ParameterError
from genre.core.messages import printable
from genre.registry.resolve import found_classifier

TOP, TAGS = 3, 5
MAX_HOURS = 6.0


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "form", flag_value="json", help="Print a list of JSON objects.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV, a row per song.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=TOP,
    show_default=True,
    help="Number of genres per song.",
)
@click.option(
    "--tags",
    is_flag=True,
    help="Also print the most probable tags, if the model predicts tags.",
)
@click.option(
    "--timeline",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Plot genre probabilities over time and the spectrogram to FILE.png.",
)
@model_option
@click.option(
    "--max-hours",
    type=click.FloatRange(min=0, min_open=True),
    default=MAX_HOURS,
    show_default=True,
    help="Refuse songs that are longer.",
)
@click.pass_obj
def classify(
    root: Path,
    paths: tuple[Path, ...],
    form: str | None,
    top: int,
    tags: bool,
    timeline: Path | None,
    model: str | None,
    max_hours: float,
) -> int:
    """Predict the genre of the songs in PATHS: files, or folders with all files below them.

    In folders, files that are not audio (covers, playlists, texts) are skipped and counted. If a
    song cannot be decoded, the reason is printed and the exit code is 2; the others are classified.
    A truncated song is classified with a warning.
    """
    from genre.classifier import batch, output
    from genre.models.ensemble import SYNTHETIC, read_description

    if timeline:
        _check_timeline(timeline, paths)
    settings = {
        "top": top,
        "tags": TAGS if tags else 0,
        "max_seconds": 3600 * max_hours,
        "timeline": timeline is not None,
    }
    with found_classifier(root, model) as found:
        if tags:
            batch.check_predicts_tags(found.folder)
        results, skipped = batch.classify_songs(paths, found.folder, settings, found.compute)
        synthetic = read_description(found.folder).synthetic
    classified = [result for result in results if result.prediction]
    if form == "json":
        output.write_json(results, found.version, sys.stdout, synthetic=synthetic)
    elif form == "csv":
        output.write_csv(results, found.version, sys.stdout)
    else:
        if classified:
            output.print_table(classified)
        for result in results:
            if result.error:
                click.echo(f"error: {printable(f'{result.path}: {result.error}')}", err=True)
            elif result.prediction and (warning := result.prediction.warning):
                click.echo(f"warning: {printable(f'{result.path}: {warning}')}", err=True)
    if timeline and classified:
        from genre.classifier.timeline import draw

        draw(classified[0], timeline)
    click.echo(output.summary(results, skipped, str(found)), err=True)
    if synthetic and form is None:
        click.echo(f"note: {found} was trained on {SYNTHETIC}", err=True)
    return BAD_INPUT if len(classified) < len(results) else 0


def _check_timeline(timeline: Path, paths: tuple[Path, ...]) -> None:
    if timeline.suffix.lower() != ".png":
        raise ParameterError(f"--timeline {timeline}: expected a file that ends in .png")
    if len(paths) > 1 or paths[0].is_dir():
        raise ParameterError("--timeline draws one song: name one file")
