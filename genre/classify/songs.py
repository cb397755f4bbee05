"""Which files a person means: those named, and those in the folders named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A file to listen to: named, or found in a folder that was named."""

    path: Path
    found: bool = False


def find(paths: Iterable[Path]) -> list[File]:
    """The files of `paths`, folders with all that is below them, each once.

    In the order given, folders sorted. Hidden files and folders below a folder are passed over; so
    is what is no file (a pipe, a device).
    """
    found: dict[Path, File] = {}
    for path in paths:
        if path.is_dir():
            for file in _below(path):
                found.setdefault(file, File(file, found=True))
        else:
            found[path] = File(path)
    return list(found.values())


def _below(folder: Path) -> Iterable[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path
