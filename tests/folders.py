"""Small folders of dummy songs, and the content of a collection, for tests of `genre add`."""

from __future__ import annotations

import csv
from pathlib import Path


def write_tree(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write each file below `folder`, making folders."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def songs_in(root: Path) -> dict[str, bytes]:
    """The collection of the project at `root`, without its manifest."""
    tree = read_tree(root / "data" / "raw")
    tree.pop("manifest.csv", None)
    return tree


def rows_in(root: Path) -> dict[str, dict[str, str]]:
    """The rows of the collection's manifest by path."""
    with (root / "data" / "raw" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def left_behind(root: Path) -> list[str]:
    """Leftover files beside the collection."""
    return sorted(
        path.name
        for path in (root / "data").iterdir()
        if path.name not in ("raw", ".collection.lock")
    )
