"""Folders for what a command and its children write in passing; the next one sweeps a killed one's.

A folder is in use as long as a process locks it (`genre.core.locks`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genre.core.locks import locked_folder, remove_if_free

PREFIX = "music-genre-"


@contextmanager
def folder() -> Iterator[tuple[Path, int]]:
    """Yield a new folder where the system keeps temporary files, and the descriptor that locks it.

    A child that inherits the descriptor keeps it locked. At the end it is removed with all
    that is in it; so is, before and after, what killed commands left.
    """
    sweep()
    try:
        with locked_folder(PREFIX, Path(tempfile.gettempdir())) as held:
            yield held
    finally:
        sweep()


def sweep() -> None:
    """Remove the folders that no process has locked."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        remove_if_free(left)
