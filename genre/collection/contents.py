"""What the collection holds now: its files, its songs, its manifest, and which are demo songs.

A song is a visible file in a genre folder; anything else that lies there is kept as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

from genre.collection import manifest, moves
from genre.collection.demo import SYNTHETIC
from genre.collection.manifest import Manifest, Row
from genre.core.errors import CollectionError
from genre.core.files import sha256_of
from genre.core.messages import command

RAW = Path("data") / "raw"
VERSION = RAW.with_suffix(".dvc")  # DVC's note of the collection


class Contents:
    """A look at the collection at `raw`, taken once; paths are relative to it, posix."""

    def __init__(self, raw: Path) -> None:
        """Raises `CollectionError` where the collection is not one that can be changed safely."""
        self.raw = raw
        self.files: dict[str, int] = {}  # sizes in bytes
        for parent, folders, names in os.walk(raw, onerror=_unreadable) if raw.exists() else ():
            here = Path(parent)
            for name in folders:
                if (here / name).is_symlink():
                    raise CollectionError(
                        f"{here / name}: is a link to a folder; the collection keeps songs as "
                        "files: remove the link and add that folder's parent with "
                        + command("genre add FOLDER")
                    )
            for name in names:
                self.files[(here / name).relative_to(raw).as_posix()] = _size(here / name)
        self.files.pop(manifest.MANIFEST, None)
        self.before: set[str] = set()  # the paths of songs that the last run or the manifest knows
        self.carried = 0  # rows of the manifest that went to another path
        self._digests: dict[str, str] = {}

    @cached_property
    def manifest(self) -> Manifest:
        """The collection's manifest, with the songs that a person moved by hand where they are."""
        found = manifest.read(self.raw)
        if any(path not in self.files for path in found.rows):
            self.carried = moves.carry_over(found, self.moved)
        return found

    @cached_property
    def moved(self) -> dict[str, str]:
        """Songs that were moved by hand since the last run: their old paths to their new ones."""
        rows, known = manifest.read(self.raw).rows, moves.last_catalogue(self.raw)
        self.before = {*rows, *known}
        gone = {path for path in self.before if path not in self.files}
        return moves.find(self.songs, gone, rows, known, self.digest) if gone else {}

    @cached_property
    def songs(self) -> list[str]:
        """The songs, sorted."""
        return sorted(
            path
            for path in self.files
            if "/" in path and not any(part.startswith(".") for part in path.split("/"))
        )

    @cached_property
    def demo(self) -> set[str]:
        """The songs that the project made itself."""
        rows = self.manifest.rows
        return {path for path in self.songs if is_demo_row(rows.get(path))}

    @cached_property
    def by_size(self) -> dict[int, list[str]]:
        """The songs of each size in bytes."""
        sizes: dict[int, list[str]] = {}
        for path in self.songs:
            sizes.setdefault(self.files[path], []).append(path)
        return sizes

    def twins(self, file: Path) -> list[str]:
        """The songs with the very content of `file`; only files of its size are read."""
        same_size = self.by_size.get(file.stat().st_size, [])
        if not same_size:
            return []
        wanted = digest(file)
        return [path for path in same_size if self.digest(path) == wanted]

    def digest(self, path: str) -> str:
        """The sha256 of a song, in hexadecimal digits."""
        if path not in self._digests:
            self._digests[path] = digest(self.raw / path)
        return self._digests[path]


def is_demo_row(row: Row | None) -> bool:
    """Whether a row of a manifest is that of a demo song."""
    return row is not None and row.get("source", "").startswith(SYNTHETIC)


def _unreadable(error: OSError) -> None:
    # A folder that is passed over here would be missing from the next tree.
    raise CollectionError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError as error:
        raise CollectionError(
            f"{file}: is a link to nothing; bring the song back ({command('dvc checkout')}) or "
            "remove the link"
        ) from error


def check_version(root: Path) -> None:
    """Refuse to begin another collection where DVC's note names one that is not here."""
    if (root / VERSION).exists() and not (root / RAW).exists():
        raise CollectionError(
            f"{VERSION} names a collection that is not here; bring it back "
            f"({command(f'dvc checkout {VERSION}')}, or make run), or remove {VERSION} to begin "
            "another"
        )


def digest(file: Path) -> str:
    """The sha256 of a file; raises `CollectionError` where it cannot be read."""
    try:
        return sha256_of(file)
    except OSError as error:
        raise CollectionError(f"{file}: cannot be read ({error.strerror})") from error


class Names:
    """The paths that are taken, by files and by folders."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        for path in files:
            self._take(path)

    def give(self, wanted: str, file: Path) -> str:
        """Take and return `wanted`, or the free name nearest to it, marked by the file's sha256."""
        genre, _, name = wanted.partition("/")
        if self._files.intersection(_folders(wanted)):  # a song is called as its folder
            name = name.replace("/", "-")
        path = PurePosixPath(genre, name)
        if not self._is_free(str(path)):
            mark = digest(file)
            path = next(
                marked
                for length in (8, 16, len(mark))
                if self._is_free(
                    str(marked := path.with_name(f"{path.stem}-{mark[:length]}{path.suffix}"))
                )
            )
        self._take(str(path))
        return str(path)

    def _is_free(self, path: str) -> bool:
        return path not in self._files and path not in self._folders

    def _take(self, path: str) -> None:
        self._files.add(path)
        self._folders.update(_folders(path))


def _folders(path: str) -> list[str]:
    """The folders that a path goes through."""
    return [str(parent) for parent in PurePosixPath(path).parents][:-1]
