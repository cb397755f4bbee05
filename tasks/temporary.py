"""Folders for what a command and its children write in passing; the next one sweeps a killed one's.

A folder is in use as long as a process holds it (`genre.held`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genre.held import held_folder, remove_unless_held

PREFIX = "music-genre-"


@contextmanager
def folder() -> Iterator[tuple[Path, int]]:
    """Yield a new folder where the system keeps temporary files, and the descriptor that holds it.

    A child that inherits the descriptor holds the folder too. At the end it is removed with all
    that is in it; so is, before and after, what killed commands left.
    """
    sweep()
    try:
        with held_folder(PREFIX, Path(tempfile.gettempdir())) as held:
            yield held
    finally:
        sweep()


def sweep() -> None:
    """Remove the folders that nobody holds any more."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        remove_unless_held(left)
