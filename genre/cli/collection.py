"""`genre add`, `genre remove`, `genre relabel`."""

from __future__ import annotations

from pathlib import Path

import click

from genre.collection import RAW
from genre.collection.adding import add as add_songs
from genre.collection.archives import Limits
from genre.collection.changing import relabel as relabel_songs
from genre.collection.changing import remove as remove_songs
from genre.collection.report import lines
from genre.core.messages import printable
from genre.core.params import in_project

NEXT = "Next: make run"


def say(line: str) -> None:
    """Tell a person one line."""
    click.echo(printable(line))


@click.command()
@click.argument("source")
@click.option("--sha256", metavar="HEX", help="Expected hash of the archive; refused otherwise.")
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
    help="Remove each file from the folder SOURCE once the collection holds it.",
)
@click.pass_obj
def add(root: Path, source: str, sha256: str | None, max_gigabytes: float, move: bool) -> None:
    """Add the songs of SOURCE to the collection, data/raw.

    SOURCE is a folder whose first level is the genre (blues/song.mp3, …), a zip or tar archive of
    one, an http(s) URL of such an archive, or the word demo: songs that the project makes itself.
    A manifest.csv at its top may give path, genre, artist, title, licence, source and more.
    Your own files are only read, unless you ask for --move. Adding twice changes nothing.
    """
    limits = Limits(gigabytes=max_gigabytes)
    added = add_songs(source, in_project(root), sha256=sha256, limits=limits, move=move, say=say)
    for line in lines(added, RAW):
        say(line)
    if added.added:
        say(NEXT)


@click.command()
@click.argument("songs", nargs=-1, required=True)
@click.pass_obj
def remove(root: Path, songs: tuple[str, ...]) -> None:
    """Take SONGS out of the collection.

    A song is named by its path (blues/song.mp3, or data/raw/blues/song.mp3) or its track id; a
    folder (blues) names all songs in it.
    """
    gone = remove_songs(songs, in_project(root), say=say)
    for path in gone:
        say(f"Removed {path}")
    say(NEXT)


@click.command()
@click.argument("songs", nargs=-1, required=True)
@click.argument("genre")
@click.pass_obj
def relabel(root: Path, songs: tuple[str, ...], genre: str) -> None:
    """Move SONGS to GENRE, which may be new; songs are named as for `genre remove`."""
    done = relabel_songs(songs, genre, in_project(root), say=say)
    for old, new in done.moved:
        say(f"Moved {old} to {new}")
    if done.unchanged:
        say(f"Already of that genre: {done.unchanged}")
    if done.moved:
        say(NEXT)
