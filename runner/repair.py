"""Repair what a killed DVC command left, before the next one: it would fail, or read it as whole.

DVC empties `dvc.lock`, and what `dvc add` writes, before it writes them anew. A killed one leaves
the beginning of such a file. Without its last, unfinished entry the file is what DVC itself wrote
earlier; DVC runs the steps that are missing in it, or restores them from its cache.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from genre.core.files import write_text
from genre.core.locks import lock_if_free

LOCKFILE = "dvc.lock"
TEMPORARY = Path(".dvc/tmp")
LOCK = TEMPORARY / "lock"  # held by DVC while it writes
RWLOCK = TEMPORARY / "rwlock"  # which files the running DVC commands read and write, as JSON
CACHE = Path(".dvc/cache")
UNFINISHED = ("files/md5/.*.tmp", "files/md5/??/.*.tmp", "runs/??/*/.*.tmp")  # in the cache
RUNS = "runs/??/*"  # a folder for a step and its dependencies; DVC fails at an empty one
ENTRY = re.compile(r"^  \S.*:\n", re.MULTILINE)  # its first line, in `dvc.lock`
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def repair(root: Path) -> None:
    """Repair DVC's files in the project at `root`; nothing that a DVC command is writing now."""
    if not (root / TEMPORARY).is_dir():  # DVC has never run here
        return
    with lock_if_free(root / LOCK) as free:
        if free:
            for path in (root / LOCKFILE, *root.glob("data/*.dvc")):
                _shorten(path)
            _sweep(root / CACHE)
    with lock_if_free(root / RWLOCK.with_suffix(".lock")) as free:
        if free and _text(root / RWLOCK) is not None:
            try:
                json.loads(_text(root / RWLOCK) or "")
            except ValueError:
                (root / RWLOCK).unlink()


def entries(root: Path) -> dict[str, Any]:
    """The entry of each step in `dvc.lock`."""
    content = _parse(_text(root / LOCKFILE) or "") or {}
    stages: dict[str, Any] = content.get("stages") or {}
    return stages


def whole_part(text: str) -> str:
    """`text` without the entry in which it was cut off; empty if nothing whole is left.

    `text` is a `dvc.lock`, or what `dvc add` writes.
    """
    if _is_whole(_parse(text)):
        return text
    starts = [match.start() for match in ENTRY.finditer(text)]
    return text[: starts[-1]] if len(starts) > 1 else ""


def _shorten(path: Path) -> None:
    text = _text(path)
    if text is None:
        return
    part = whole_part(text)
    if not part:
        path.unlink()
    elif part != text:
        write_text(path, part)


def _is_whole(content: dict[str, Any] | None) -> bool:
    """Whether the last entry is complete; those before it are."""
    if content is None:
        return False
    if "stages" not in content:  # what `dvc add` writes: the path comes last
        return all("path" in out for out in content.get("outs") or [{}])
    if not content["stages"]:
        return False
    last = list(content["stages"].values())[-1]
    if not last or None in (*last.values(), *(last.get("params") or {}).values()):
        return False
    return all(map(_is_complete, (*last.get("deps", ()), *last.get("outs", ()))))


def _is_complete(file: dict[str, Any]) -> bool:
    """Whether all is said of a file or folder: the number of files of a folder comes last."""
    folder = str(file.get("md5", "")).endswith(".dir")
    return {"path", "md5", "size"} <= file.keys() and ("nfiles" in file or not folder)


def _sweep(cache: Path) -> None:
    """Remove the half-written files of DVC's cache, and the empty folders of its run cache."""
    for pattern in UNFINISHED:
        for path in cache.glob(pattern):
            path.unlink(missing_ok=True)
    for folder in cache.glob(RUNS):
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _parse(text: str) -> dict[str, Any] | None:
    """The content of a YAML file; None if it ends within a line, or holds nothing."""
    try:
        content = yaml.load(text, LOADER) if text.endswith("\n") else None
    except yaml.YAMLError:
        return None
    return content if isinstance(content, dict) else None
