"""Before the steps: restore the collection, add songs, and check the inputs.

Songs are added by `genre add` in a process group of its own, so that a download or unpacking ends
with the run that started it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from genre.core.errors import CollectionError, GenreError, InputError
from genre.core.params import AUTO, Params
from genre.features import families
from runner import dvc_command, pipeline, processes
from runner.dvc_command import LogLine
from tasks.io import paths
from tasks.io.step import BAD_INPUT, OK

DEMO = "demo"
ERROR, NEXT = "error: ", "Next: "  # prefixes of lines of `genre add`
PAUSE_SECONDS = 60.0  # the longest wait for files that are still arriving


def restore(root: Path, *, log: LogLine) -> None:
    """Check out the songs of `data/raw.dvc` if there is no collection.

    If there is one, update the manifest for songs that were moved manually. Raises `InputError` if
    DVC's cache does not hold the songs.
    """
    from genre.collection.edit_songs import update_moved_songs

    if (root / pipeline.RAW_VERSION).exists() and not (root / paths.RAW).exists():
        log(
            f"restoring the collection of {pipeline.RAW_VERSION} "
            "(remove that file to start a new collection)"
        )
        pipeline.restore_collection(root, on_line=log)
    else:
        update_moved_songs(root, log=log)


def add(
    source: str,
    root: Path,
    *,
    log: LogLine,
    sha256: str | None = None,
    timeout: float | None = None,
    move: bool = False,
) -> None:
    """Add the songs of a folder, archive, URL or `demo`; `log` gets each line of `genre add`.

    With `move`, added files are removed from the source folder.

    Raises `CollectionError` if the source is refused, `StepTimeoutError` after `timeout` seconds,
    and `GenreError` for other failures.
    """
    error: list[str] = []  # the line of the error and those after it

    def read(line: str) -> None:
        if error or line.startswith(ERROR):
            error.append(line.removeprefix(ERROR))
        elif not line.startswith(NEXT):  # this module runs the next step
            log(line)

    command = [sys.executable, "-m", "genre.cli", "add", source]
    command += ["--sha256", sha256] if sha256 else []
    command += ["--move"] if move else []
    code = processes.run(
        command, cwd=root, env=dvc_command.environment(), on_line=read, timeout=timeout
    )
    if code != OK:
        message = "\n".join(error) or f"genre add: ended with exit code {code}"
        raise (CollectionError if code == BAD_INPUT else GenreError)(message)


def add_inbox(inbox: Path, root: Path, *, log: LogLine, timeout: float | None = None) -> None:
    """Move the songs in the folder `inbox` to the collection.

    While files are arriving it waits, at most a minute; files that are still being written are left
    for the next run. Creates the default inbox if it is missing. Raises `InputError` if another
    inbox is missing, and the exceptions of `add`.
    """
    from genre.collection.inbox import QUIET_SECONDS, filesystem_time, newest_change

    folder = root / inbox
    if not folder.is_dir():
        if inbox != paths.INBOX:
            raise InputError(
                f"params.yaml: retrain.inbox is {inbox}: no such folder; create or mount it"
            )
        folder.mkdir(parents=True)
    deadline = time.monotonic() + PAUSE_SECONDS
    while (newest := newest_change(folder)) is not None:
        wait = QUIET_SECONDS - (filesystem_time(folder) - newest)
        if wait <= 0 or time.monotonic() + wait > deadline:
            break
        log(f"{inbox}: files are still arriving")
        time.sleep(wait)
    if newest is not None:
        add(str(folder), root, log=log, timeout=timeout, move=True)


def has_songs(root: Path) -> bool:
    """Whether the collection has at least one genre folder."""
    raw = root / paths.RAW
    return raw.is_dir() and any(path.is_dir() for path in raw.iterdir())


def check_before_run(params: Params, root: Path) -> None:
    """Raise `InputError` for what a late step would refuse.

    That is an unknown feature family, and a folder of new songs that is missing (unless it is the
    default one) or has a genre of its own.
    """
    if params.features.families != AUTO:
        families.check(params.features.families)
    from genre.new_songs import find

    genres = sorted(path.name for path in (root / paths.RAW).glob("*") if path.is_dir())
    find(root / params.evaluate.new_songs, genres, root / paths.NEW_SONGS)
