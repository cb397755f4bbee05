"""The command `genre`: a click group that imports a command when it is called.

Commands are listed in `COMMANDS`; they get the project's folder by `@click.pass_obj`. An error is
one line on stderr, with exit code 2 for bad input (`InputError`) and 1 otherwise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

import click

from genre import __version__
from genre.core.errors import GenreError, InputError
from genre.core.files import disk_space_guard
from genre.core.messages import printable
from genre.core.unexpected import one_line_errors

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

model_option = click.option(
    "--model",
    metavar="URI",
    help="models:/NAME@ALIAS, models:/NAME/VERSION, or the folder of a classifier.  "
    "[default: the champion]",
)


@dataclass(frozen=True)
class Entry:
    """The location of a command, `module:attribute`, and its line in `genre --help`."""

    where: str
    help: str


COMMANDS = {
    "add": Entry("genre.cli.collection:add", "Add songs: a folder, archive, URL or demo."),
    "remove": Entry("genre.cli.collection:remove", "Remove songs from the collection."),
    "relabel": Entry("genre.cli.collection:relabel", "Move songs to another genre."),
    "classify": Entry("genre.cli.classify:classify", "Predict the genre of songs."),
    "drift": Entry("genre.cli.drift:drift", "Compare songs with the champion's training songs."),
    "app": Entry("genre.cli.app:app", "Open a page that classifies songs."),
    "models": Entry("genre.cli.registry:models", "List the registered versions."),
    "check": Entry("genre.cli.registry:check", "Verify the files of a version."),
    "promote": Entry("genre.cli.registry:promote", "Make a version the champion."),
    "rollback": Entry("genre.cli.registry:rollback", "Go back to the previous champion."),
}


class LazyGroup(click.Group):
    """A group with the commands of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command `cmd_name`."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = resolve_name(COMMANDS[cmd_name].where)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="genre")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The project's folder.  [default: this folder]",
)
@click.pass_context
def genre(context: click.Context, root: Path) -> None:
    """Train and use a music genre classifier.

    `make run` runs the whole pipeline; these commands change its songs and use its models.
    """
    context.obj = root


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(run(arguments))


@one_line_errors
def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        with disk_space_guard():
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
