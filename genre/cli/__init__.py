"""The command `genre`: a registry of commands, each imported when it is asked for.

A command is a click command named in `COMMANDS`; it gets the project's folder by
`@click.pass_obj`. An error is one line on stderr, with exit code 2 if the input is to blame
(`InputError`) and 1 otherwise.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from genre import __version__
from genre.core.errors import GenreError, InputError
from genre.core.files import room_for
from genre.core.messages import printable
from genre.core.unexpected import one_line

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


@dataclass(frozen=True)
class Entry:
    """Where a command lives, as `module:attribute`, and its line in `genre --help`."""

    where: str
    help: str


COMMANDS = {
    "add": Entry("genre.cli.collection:add", "Add songs: a folder, archive, URL or demo."),
    "remove": Entry("genre.cli.collection:remove", "Take songs out of the collection."),
    "relabel": Entry("genre.cli.collection:relabel", "Move songs to another genre."),
    "classify": Entry("genre.cli.classify:classify", "Say which genre songs are."),
    "drift": Entry("genre.cli.drift:drift", "Compare songs with the champion's training songs."),
    "app": Entry("genre.cli.app:app", "Open a page that says which genre a song is."),
    "models": Entry("genre.cli.registry:models", "List the registered versions."),
    "check": Entry("genre.cli.registry:check", "Verify the files of a version."),
    "promote": Entry("genre.cli.registry:promote", "Make a version the champion."),
    "rollback": Entry("genre.cli.registry:rollback", "Go back to the previous champion."),
}


class Registry(click.Group):
    """The group whose commands are those of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of a song's way."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].where.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=Registry)
@click.version_option(__version__, prog_name="genre")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The project's folder.  [default: this folder]",
)
@click.pass_context
def genre(context: click.Context, root: Path) -> None:
    """Songs in genre folders in, a music genre classifier out.

    `make run` does the whole job; these commands change what it works on.
    """
    context.obj = root


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(arguments))


@one_line
def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        with room_for():
            result = genre.main(arguments, prog_name="genre", standalone_mode=False)
    except click.ClickException as error:  # a wrong option or argument
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("ended", err=True)
        return INTERRUPTED
    except GenreError as error:
        click.echo(f"error: {printable(' '.join(str(error).split()))}", err=True)
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    return result if isinstance(result, int) else 0
