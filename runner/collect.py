"""Before the steps: the collection is there, holds the new songs, and is versioned.

Songs are added by `genre add` in a process group of its own, so that an unpacking or a download
ends with the run that asked for it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from genre.core.errors import CollectionError, GenreError, InputError
from runner import dvc_command, pipeline, processes
from runner.dvc_command import Say
from tasks.io import paths
from tasks.io.step import BAD_INPUT, OK

DEMO = "demo"
ERROR, NEXT = "error: ", "Next: "  # how `genre add` begins a complaint, and its advice
PAUSE_SECONDS = 60.0  # that files which are still arriving may keep a run waiting


def restore(root: Path, *, say: Say) -> None:
    """Bring back the songs that `data/raw.dvc` names if they are not here.

    If they are, the manifest follows those that a person moved by hand since the last run. Raises
    `InputError` if DVC's cache does not hold them.
    """
    from genre.collection.changing import follow_moves

    if (root / pipeline.RAW_VERSION).exists() and not (root / paths.RAW).exists():
        say(
            f"bringing back the collection that {pipeline.RAW_VERSION} names "
            "(remove that file to start a new one)"
        )
        pipeline.restore_collection(root, on_line=say)
    else:
        follow_moves(root, say=say)


def add(
    source: str,
    root: Path,
    *,
    say: Say,
    sha256: str | None = None,
    timeout: float | None = None,
    move: bool = False,
) -> None:
    """Add the songs of a folder, archive, URL or `demo`; `say` gets each line of `genre add`.

    With `move`, files of a folder leave it for the collection.

    Raises `CollectionError` if the source is refused, with nothing written, `StepTimeoutError`
    after `timeout` seconds, and `GenreError` if it failed otherwise.
    """
    error: list[str] = []  # with the lines after it

    def read(line: str) -> None:
        if error or line.startswith(ERROR):
            error.append(line.removeprefix(ERROR))
        elif not line.startswith(NEXT):  # the next step is ours
            say(line)

    command = [sys.executable, "-m", "genre.cli", "add", source]
    command += ["--sha256", sha256] if sha256 else []
    command += ["--move"] if move else []
    code = processes.run(
        command, cwd=root, env=dvc_command.environment(), on_line=read, timeout=timeout
    )
    if code != OK:
        message = "\n".join(error) or f"genre add: ended with exit code {code}"
        raise (CollectionError if code == BAD_INPUT else GenreError)(message)


def take_inbox(inbox: Path, root: Path, *, say: Say, timeout: float | None = None) -> None:
    """Add the songs that wait in the folder `inbox`; what the collection then holds leaves it.

    While files arrive there it waits for a pause, at most a minute; what then is still being
    written is left for the next time. The project's own inbox is made if it is missing; raises
    `InputError` if another one is missing, and otherwise as `add`.
    """
    from genre.collection.inbox import SETTLED_SECONDS, clock, newest_change

    folder = root / inbox
    if not folder.is_dir():
        if inbox != paths.INBOX:
            raise InputError(
                f"params.yaml: retrain.inbox is {inbox}: no such folder; make it, or mount it"
            )
        folder.mkdir(parents=True)
    deadline = time.monotonic() + PAUSE_SECONDS
    while (newest := newest_change(folder)) is not None:
        wait = SETTLED_SECONDS - (clock(folder) - newest)
        if wait <= 0 or time.monotonic() + wait > deadline:
            break
        say(f"{inbox}: files are still arriving")
        time.sleep(wait)
    if newest is not None:
        add(str(folder), root, say=say, timeout=timeout, move=True)


def has_songs(root: Path) -> bool:
    """Whether the collection has at least one genre folder."""
    raw = root / paths.RAW
    return raw.is_dir() and any(path.is_dir() for path in raw.iterdir())
