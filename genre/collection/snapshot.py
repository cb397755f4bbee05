"""A snapshot of the collection: its files, songs, manifest and demo songs.

A song is a visible file in a genre folder; other files are kept unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

from genre.collection import manifest, moved_songs
from genre.collection.demo import SYNTHETIC
from genre.collection.manifest import Manifest, Row
from genre.core.errors import CollectionError
from genre.core.files import sha256_of
from genre.core.messages import command

RAW = Path("data") / "raw"
VERSION = RAW.with_suffix(".dvc")  # what `dvc add data/raw` writes


class Snapshot:
    """The collection at `raw` as it was found; paths are relative to it, posix."""

    def __init__(self, raw: Path) -> None:
        """Raises `CollectionError` if the collection cannot be changed safely."""
        self.raw = raw
        self.files: dict[str, int] = {}  # sizes in bytes
        for parent, folders, names in os.walk(raw, onerror=_unreadable) if raw.exists() else ():
            here = Path(parent)
            for name in folders:
                if (here / name).is_symlink():
                    raise CollectionError(
                        f"{here / name}: is a link to a folder, and the collection holds files: "
                        "remove the link and add that folder's parent with "
                        + command("genre add FOLDER")
                    )
            for name in names:
                self.files[(here / name).relative_to(raw).as_posix()] = _size(here / name)
        self.files.pop(manifest.MANIFEST, None)
        self.known_paths: set[str] = set()  # paths in the last catalogue or the manifest
        self.moved_rows = 0  # rows of the manifest that got another path
        self._digests: dict[str, str] = {}

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, with updated paths of songs that were moved manually."""
        found = manifest.read(self.raw)
        if any(path not in self.files for path in found.rows):
            self.moved_rows = moved_songs.move_rows(found, self.moved)
        return found

    @cached_property
    def moved(self) -> dict[str, str]:
        """Songs that were moved manually since the last run: old path to new path."""
        rows, known = manifest.read(self.raw).rows, moved_songs.last_catalogue(self.raw)
        self.known_paths = {*rows, *known}
        gone = {path for path in self.known_paths if path not in self.files}
        return moved_songs.find_moves(self.songs, gone, rows, known, self.digest) if gone else {}

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
        """The demo songs."""
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
        """Return the songs with the same content as `file`; only files of its size are read."""
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
    """Whether a row of a manifest describes a demo song."""
    return row is not None and row.get("source", "").startswith(SYNTHETIC)


def _unreadable(error: OSError) -> None:
    # A skipped folder would be lost by the next change.
    raise CollectionError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError as error:
        raise CollectionError(
            f"{file}: is a broken link; restore the song ({command('dvc checkout')}) or remove "
            "the link"
        ) from error


def check_version(root: Path) -> None:
    """Raise `CollectionError` if `data/raw.dvc` refers to a collection that is not checked out."""
    if (root / VERSION).exists() and not (root / RAW).exists():
        raise CollectionError(
            f"{VERSION} refers to a collection that is missing here; restore it "
            f"({command(f'dvc checkout {VERSION}')}, or make run), or remove {VERSION} to start "
            "a new one"
        )


def digest(file: Path) -> str:
    """Return the sha256 of a file; raises `CollectionError` if it cannot be read."""
    try:
        return sha256_of(file)
    except OSError as error:
        raise CollectionError(f"{file}: cannot be read ({error.strerror})") from error


class Names:
    """The paths that are in use, by files and by folders."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        for path in files:
            self._add(path)

    def reserve(self, wanted: str, file: Path) -> str:
        """Reserve and return `wanted`, or, if it is taken, the name with digits of the sha256."""
        genre, _, name = wanted.partition("/")
        if self._files.intersection(_folders(wanted)):  # a song has the path of this one's folder
            name = name.replace("/", "-")
        path = PurePosixPath(genre, name)
        if not self._is_free(str(path)):
            digits = digest(file)
            path = next(
                candidate
                for length in (8, 16, len(digits))
                if self._is_free(
                    str(candidate := path.with_name(f"{path.stem}-{digits[:length]}{path.suffix}"))
                )
            )
        self._add(str(path))
        return str(path)

    def _is_free(self, path: str) -> bool:
        return path not in self._files and path not in self._folders

    def _add(self, path: str) -> None:
        self._files.add(path)
        self._folders.update(_folders(path))


def _folders(path: str) -> list[str]:
    """The parent folders of a path."""
    return [str(parent) for parent in PurePosixPath(path).parents][:-1]
