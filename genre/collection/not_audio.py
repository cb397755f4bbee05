"""What lies in the collection and is no song, and rows of its manifest that name no song."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from genre.collection.manifest import MANIFEST

MOST_SHOWN = 3  # names in a line
TOP = "files in no genre folder"
HIDDEN = "hidden files"
SPECIAL = "links to nothing or special files"
NO_SONG = f"rows of {MANIFEST} without a song"
ADVICE = {
    TOP: "left out; move songs into the folder of their genre",
    HIDDEN: "left out",
    SPECIAL: "left out",
    NO_SONG: "their artists and licences are not used; fix the paths or remove the rows",
}


def find(raw: Path, described: Iterable[str]) -> dict[str, list[str]]:
    """The paths of each kind, sorted, relative to `raw`; `described` are those of the manifest."""
    found: dict[str, list[str]] = {kind: [] for kind in ADVICE}
    for parent, _, names in os.walk(raw):
        for name in names:
            path = Path(parent, name).relative_to(raw)
            if any(part.startswith(".") for part in path.parts):
                found[HIDDEN].append(path.as_posix())
            elif not Path(parent, name).is_file():
                found[SPECIAL].append(path.as_posix())
            elif len(path.parts) == 1 and name != MANIFEST:
                found[TOP].append(name)
    found[NO_SONG] = [path for path in described if not (raw / path).is_file()]
    return {kind: sorted(paths) for kind, paths in found.items() if paths}


def line(kind: str, paths: list[str]) -> str:
    """How many there are of a kind, the first of them, and what becomes of them."""
    shown = ", ".join(paths[:MOST_SHOWN]) + (", …" if len(paths) > MOST_SHOWN else "")
    return f"{kind}: {len(paths)} ({shown}), {ADVICE[kind]}"
