"""Files in the collection that are not songs, and rows of its manifest without a song."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from genre.collection.manifest import MANIFEST

MAX_SHOWN = 3  # names in a line
TOP = "files in no genre folder"
HIDDEN = "hidden files"
SPECIAL = "broken links or special files"
NO_SONG = f"rows of {MANIFEST} without a song"
ADVICE = {
    TOP: "left out; move songs into the folder of their genre",
    HIDDEN: "left out",
    SPECIAL: "left out",
    NO_SONG: "their artists and licences are not used; fix the paths or remove the rows",
}


def find(raw: Path, described: Iterable[str]) -> dict[str, list[str]]:
    """Return sorted paths below `raw` by kind; `described` are the paths in the manifest."""
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
    """Describe the files of a kind: how many, the first ones, what to do."""
    shown = ", ".join(paths[:MAX_SHOWN]) + (", …" if len(paths) > MAX_SHOWN else "")
    return f"{kind}: {len(paths)} ({shown}), {ADVICE[kind]}"
