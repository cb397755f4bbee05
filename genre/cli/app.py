"""`genre app`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from genre.cli import model_option
from genre.core.errors import InputError
from genre.core.messages import command

PORT = 7860
MAX_MEGABYTES, MAX_MINUTES = 100, 60


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help=f"Port on 127.0.0.1; 0: any free port.  [default: {PORT}, or a free port]",
)
@model_option
@click.option(
    "--max-megabytes",
    type=click.IntRange(min=1),
    default=MAX_MEGABYTES,
    show_default=True,
    help="Refuse files that are larger.",
)
@click.option(
    "--max-minutes",
    type=click.IntRange(min=1),
    default=MAX_MINUTES,
    show_default=True,
    help="Refuse songs that are longer.",
)
@click.pass_obj
def app(
    root: Path, port: int | None, model: str | None, max_megabytes: int, max_minutes: int
) -> None:
    """Serve a web page that classifies uploaded or recorded songs.

    The page is reachable on this computer only, loads nothing from the internet, and stores no
    song.
    """
    if find_spec("gradio") is None:
        raise InputError(
            "the page needs Gradio, which comes with the extra app: make app installs it and opens "
            "the page (or "
            + command("python -m pip install --constraint requirements.lock --editable '.[app]'")
            + ")"
        )
    from genre.app import serving
    from genre.app.model import opened

    with (
        serving.open_socket(PORT if port is None else port, any_other=port is None) as socket,
        serving.temporary_folders() as folders,
        opened(root, model) as loaded,
    ):
        from genre.app.page import Limits, build, shown

        click.echo("Making the example songs …", err=True)
        examples = serving.make_examples(folders.examples)
        limits = Limits(max_megabytes, max_minutes)
        shown(loaded, examples[0], limits, "")  # loads what the first song would wait for
        page = build(loaded, examples, limits, folders.uploads)
        click.echo(f"Predictions by {loaded.title}. End with Ctrl+C.", err=True)
        click.echo(f"Open http://127.0.0.1:{socket.getsockname()[1]}")
        serving.serve(page, socket, folders, max_bytes=max_megabytes * 2**20)
