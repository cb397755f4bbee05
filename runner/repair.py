"""Repair files that a killed DVC command left incomplete, before the next DVC command.

DVC truncates `dvc.lock`, and the files of `dvc add`, before it writes them, so a killed command may
leave only their beginning. Their last, incomplete entry is removed; DVC then runs the missing steps
or restores them from its cache.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from genre.core.files import write_text
from genre.core.locks import try_lock

LOCKFILE = "dvc.lock"
TEMPORARY = Path(".dvc/tmp")
LOCK = TEMPORARY / "lock"  # locked by DVC while it writes
RWLOCK = TEMPORARY / "rwlock"  # the files that running DVC commands read and write, as JSON
CACHE = Path(".dvc/cache")
UNFINISHED = ("files/md5/.*.tmp", "files/md5/??/.*.tmp", "runs/??/*/.*.tmp")  # in the cache
RUNS = "runs/??/*"  # a folder per step and dependencies; DVC fails at an empty one
ENTRY = re.compile(r"^  \S.*:\n", re.MULTILINE)  # its first line, in `dvc.lock`
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def repair(root: Path) -> None:
    """Repair DVC's files in the project at `root`, except those that DVC is writing now."""
    if not (root / TEMPORARY).is_dir():  # DVC has never run here
        return
    with try_lock(root / LOCK) as free:
        if free:
            for path in (root / LOCKFILE, *root.glob("data/*.dvc")):
                _shorten(path)
            _clean(root / CACHE)
    with try_lock(root / RWLOCK.with_suffix(".lock")) as free:
        if free and _text(root / RWLOCK) is not None:
            try:
                json.loads(_text(root / RWLOCK) or "")
            except ValueError:
                (root / RWLOCK).unlink()


def entries(root: Path) -> dict[str, Any]:
    """Return the entry of each step in `dvc.lock`."""
    content = _parse(_text(root / LOCKFILE) or "") or {}
    stages: dict[str, Any] = content.get("stages") or {}
    return stages


def complete_part(text: str) -> str:
    """Return `text` (a `dvc.lock` or `.dvc` file) without an incomplete last entry."""
    if _is_complete_file(_parse(text)):
        return text
    starts = [match.start() for match in ENTRY.finditer(text)]
    return text[: starts[-1]] if len(starts) > 1 else ""


def _shorten(path: Path) -> None:
    text = _text(path)
    if text is None:
        return
    part = complete_part(text)
    if not part:
        path.unlink()
    elif part != text:
        write_text(path, part)


def _is_complete_file(content: dict[str, Any] | None) -> bool:
    """Whether the last entry is complete (earlier ones always are)."""
    if content is None:
        return False
    if "stages" not in content:  # a `.dvc` file, whose last key is the path
        return all("path" in out for out in content.get("outs") or [{}])
    if not content["stages"]:
        return False
    last = list(content["stages"].values())[-1]
    if not last or None in (*last.values(), *(last.get("params") or {}).values()):
        return False
    return all(map(_is_complete_output, (*last.get("deps", ()), *last.get("outs", ()))))


def _is_complete_output(file: dict[str, Any]) -> bool:
    """Whether the entry of a file or folder is complete: `nfiles` of a folder comes last."""
    folder = str(file.get("md5", "")).endswith(".dir")
    return {"path", "md5", "size"} <= file.keys() and ("nfiles" in file or not folder)


def _clean(cache: Path) -> None:
    """Remove temporary files of DVC's cache, and empty folders of its run cache."""
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
    """Parse YAML; return None if it ends within a line, is empty or invalid."""
    try:
        content = yaml.load(text, LOADER) if text.endswith("\n") else None
    except yaml.YAMLError:
        return None
    return content if isinstance(content, dict) else None
