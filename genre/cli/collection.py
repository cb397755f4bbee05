"""`genre add`, `genre remove`, `genre relabel`."""

from __future__ import annotations

from pathlib import Path

import click

from genre.collection import RAW
from genre.collection.add_result import summary_lines
from genre.collection.add_songs import add as add_songs
from genre.collection.archives import Limits
from genre.collection.edit_songs import relabel as relabel_songs
from genre.collection.edit_songs import remove as remove_songs
from genre.core.messages import printable
from genre.core.params import project_folder

NEXT = "Next: make run"


def echo(line: str) -> None:
    """Print one line, with control characters escaped."""
    click.echo(printable(line))


@click.command()
@click.argument("source")
@click.option("--sha256", metavar="HEX", help="Expected sha256 of the archive.")
@click.option(
    "--max-gigabytes",
    type=click.FloatRange(min=0, min_open=True),
    default=Limits.gigabytes,
    show_default=True,
    help="Refuse an archive that downloads or unpacks to more (1 GB is 10^9 bytes).",
)
@click.option(
    "--move",
    is_flag=True,
    help="Remove files from the folder SOURCE once they are in the collection.",
)
@click.pass_obj
def add(root: Path, source: str, sha256: str | None, max_gigabytes: float, move: bool) -> None:
    """Add the songs of SOURCE to the collection, data/raw.

    SOURCE is a folder whose first level is the genre (blues/song.mp3, …), a zip or tar archive of
    one, an http(s) URL of such an archive, or the word demo (synthetic songs).
    A manifest.csv at its top may give path, genre, artist, title, licence, source and more.
    Your files are only read, unless you give --move. Songs that are already there are skipped.
    """
    limits = Limits(gigabytes=max_gigabytes)
    added = add_songs(
        source, project_folder(root), sha256=sha256, limits=limits, move=move, log=echo
    )
    for line in summary_lines(added, RAW):
        echo(line)
    if added.added:
        echo(NEXT)


@click.command()
@click.argument("songs", nargs=-1, required=True)
@click.pass_obj
def remove(root: Path, songs: tuple[str, ...]) -> None:
    """Remove SONGS from the collection.

    A song is given by its path (blues/song.mp3, or data/raw/blues/song.mp3) or its track id; a
    folder (blues) stands for all songs in it.
    """
    gone = remove_songs(songs, project_folder(root), log=echo)
    for path in gone:
        echo(f"Removed {path}")
    echo(NEXT)


@click.command()
@click.argument("songs", nargs=-1, required=True)
@click.argument("genre")
@click.pass_obj
def relabel(root: Path, songs: tuple[str, ...], genre: str) -> None:
    """Move SONGS to GENRE, which may be new; songs are given as for `genre remove`."""
    done = relabel_songs(songs, genre, project_folder(root), log=echo)
    for old, new in done.moved:
        echo(f"Moved {old} to {new}")
    if done.unchanged:
        echo(f"Already of that genre: {done.unchanged}")
    if done.moved:
        echo(NEXT)
