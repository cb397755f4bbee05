"""Mend the files of DVC that a kill cut off, `dvc.lock` and what `dvc add` writes; sort `dvc.lock`.

DVC empties such a file before it writes it anew, and writes `dvc.lock` in parts, stage after stage.
What a kill leaves is a beginning of it. DVC would refuse to read some of these for ever, and take
others for whole. Without its unfinished end the file is what DVC itself wrote before the stages
that are missing, which DVC then runs, or brings back from its cache.

DVC appends the entries of steps in the order in which they first ended, which differs where a step
waited for another command, or where steps run side by side. In the order of `dvc.yaml` the same
songs leave the same file.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genre.files import write_text

LOCKFILE = "dvc.lock"
PIPELINE = "dvc.yaml"
STAGE = re.compile(r"^  \S.*:\n", re.MULTILINE)  # the first line of an entry
DVC_LOCK = Path(".dvc/tmp/lock")  # held by DVC while it writes


def mend(root: Path) -> None:
    """Cut the unfinished end off `dvc.lock` in the project at `root`; remove an unfinished `.dvc`.

    Nothing is done while a DVC command works: it may be writing.
    """
    files = [root / LOCKFILE, *root.glob("data/*.dvc")]
    if not any(map(_is_cut_off, files)):
        return
    with _while_none_writes(root) as free:
        for path in filter(_is_cut_off, files) if free else ():
            if part := whole_part(_text(path)):
                write_text(path, part)
            else:
                path.unlink()


def sort(root: Path) -> None:
    """Put the entries of `dvc.lock` in the order of `dvc.yaml`, those of a matrix by name.

    Nothing is done while a DVC command works: it may be writing.
    """
    path = root / LOCKFILE
    names = list((_parse(_text(root / PIPELINE) or "") or {}).get("stages") or ())
    if in_order(_text(path), names) == _text(path):
        return
    with _while_none_writes(root) as free:
        text = _text(path)
        if free and text is not None and whole_part(text) == text:
            write_text(path, in_order(text, names) or "")


def in_order(text: str | None, names: list[str]) -> str | None:
    """A whole `dvc.lock` with its entries in the order of `names`, unknown ones last."""
    if text is None:
        return None
    head, *entries = re.split(r"(?m)^(?=  \S.*:\n)", text)
    if any(re.search(r"(?m)^\S", entry) for entry in entries):  # more than steps: not ours to sort
        return text

    def key(entry: str) -> tuple[int, str]:
        name = entry.split(":\n", 1)[0].strip()
        stage = name.split("@")[0]
        return names.index(stage) if stage in names else len(names), name

    return head + "".join(sorted(entries, key=key))


def whole_part(text: str | None) -> str | None:
    """`text` without the entry in which it was cut off; empty where nothing whole is left.

    `text` is a `dvc.lock`, or what `dvc add` writes; null stands for no file.
    """
    if text is None:
        return None
    content = _parse(text)
    if content is not None and "outs" in content:
        return text if all(map(_is_finished, content["outs"] or [{}])) else ""
    if content is not None and _is_whole(content):
        return text
    starts = [match.start() for match in STAGE.finditer(text)]
    return text[: starts[-1]] if len(starts) > 1 else ""


@contextlib.contextmanager
def _while_none_writes(root: Path) -> Iterator[bool]:
    """Hold the lock that DVC holds while it writes; gives false where another has it."""
    import zc.lockfile  # type: ignore[import-untyped]

    try:
        lock = zc.lockfile.LockFile(str(root / DVC_LOCK))
    except zc.lockfile.LockError:
        yield False
        return
    try:
        yield True
    finally:
        lock.close()


def _is_cut_off(path: Path) -> bool:
    text = _text(path)
    return text == "" or whole_part(text) != text


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _parse(text: str) -> dict[str, Any] | None:
    """What the file says; null where it ends within a line, or says nothing."""
    import yaml

    if not text.endswith("\n"):
        return None
    try:
        content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return None
    return content if isinstance(content, dict) else None


def _is_whole(lockfile: dict[str, Any]) -> bool:
    """Whether the last entry is finished; those before it are."""
    stages = lockfile.get("stages")
    if not isinstance(stages, dict) or not stages:
        return False
    last = list(stages.values())[-1]
    if not isinstance(last, dict) or None in last.values():
        return False
    return all(map(_is_finished, (*last.get("deps", ()), *last.get("outs", ()))))


def _is_finished(file: dict[str, Any]) -> bool:
    """Whether all is said of a file or folder: the number of files of a folder comes last."""
    folder = str(file.get("md5", "")).endswith(".dir")
    return "path" in file and "md5" in file and "size" in file and ("nfiles" in file or not folder)
