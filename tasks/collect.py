"""Before the steps: the collection is there, holds the new songs, and is versioned.

Songs are added by `genre add` in a process group of its own, so that an unpacking or a download
ends with the run that asked for it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from genre.errors import CollectionError, GenreError
from tasks import dvc_command, paths, pipeline, processes
from tasks.cli import BAD_INPUT, OK
from tasks.dvc_command import Say
from tasks.transcript import last_error

DEMO = "demo"
NEXT = "Next: "  # how `genre add` begins its advice


def restore(root: Path, *, say: Say) -> None:
    """Bring back the songs that `data/raw.dvc` names where they are not here.

    Raises `InputError` where DVC's cache does not hold them.
    """
    if (root / pipeline.RAW_VERSION).exists() and not (root / paths.RAW).exists():
        say(
            f"bringing back the collection that {pipeline.RAW_VERSION} names "
            "(remove that file to start a new one)"
        )
        pipeline.restore_collection(root, on_line=say)


def add(
    source: str, root: Path, *, say: Say, sha256: str | None = None, timeout: float | None = None
) -> None:
    """Add the songs of a folder, archive, URL or `demo`; `say` gets each line of `genre add`.

    Raises `CollectionError` where the source is refused, with nothing written, `StepTimeoutError`
    after `timeout` seconds, and `GenreError` where it failed otherwise.
    """
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        if not line.startswith(("error: ", NEXT)):  # the error is raised, the next step is ours
            say(line)

    command = [sys.executable, "-m", "genre.cli", "add", source]
    command += ["--sha256", sha256] if sha256 else []
    code = processes.run(
        command, cwd=root, env=dvc_command.environment(), on_line=hear, timeout=timeout
    )
    if code != OK:
        message = last_error(lines)[0]
        raise (CollectionError if code == BAD_INPUT else GenreError)(message)


def has_songs(root: Path) -> bool:
    """Whether the collection has at least one genre folder."""
    raw = root / paths.RAW
    return raw.is_dir() and any(path.is_dir() for path in raw.iterdir())
