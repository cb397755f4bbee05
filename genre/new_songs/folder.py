"""The folder of new songs, checked before songs are decoded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from genre.collection import manifest
from genre.collection.catalogue import list_songs
from genre.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

PARAMETER = "evaluate.new_songs"


def find(folder: Path, classes: Sequence[str], default: Path) -> list[str]:
    """The songs in the genre folders of `folder`, as sorted posix paths relative to it.

    There may be none. Raises `InputError` if there is no such folder (the `default` one may be
    missing), or it has a genre that is not in `classes`.
    """
    if not folder.exists() and folder.resolve() == default.resolve():
        return []
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "no such folder"
        raise InputError(
            f"{folder}: {found}; {PARAMETER} in params.yaml names it, expected a folder of genre "
            "folders with new songs"
        )
    songs = list_songs(folder)
    genres = {song.partition("/")[0] for song in songs}
    if unknown := sorted(genres - set(classes)):
        raise InputError(
            f"{folder}: found the genre{'s' * (len(unknown) > 1)} {', '.join(unknown)}, which the "
            f"classifier was not trained on; expected folders named {', '.join(classes)}"
            f"{_hint(unknown, classes)}; rename or remove the others"
        )
    return songs


def read_manifest(folder: Path, songs: Sequence[str]) -> pd.DataFrame:
    """The rows of `manifest.csv` in `folder` for `songs`: `path` and its other columns.

    Empty if there is no manifest. Raises `InputError` if it is invalid, or names a missing song.
    """
    found = manifest.read(folder)
    composed = {normalize("NFC", song) for song in songs}
    unknown = sorted(path for path in found.rows if normalize("NFC", path) not in composed)
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise InputError(
            f"{folder / manifest.MANIFEST}: found {unknown[0]}{more}, expected songs in genre "
            f"folders there{_hint(unknown[:1], songs)}; fix the path, or remove the row"
        )
    return found.table(songs)


def _hint(unknown: Iterable[str], known: Sequence[str]) -> str:
    """A hint at the most similar of the `known` names."""
    plain = {_plain(name): name for name in known}
    near = [
        f"{plain[matches[0]]} for {name}"
        for name in unknown
        if (matches := difflib.get_close_matches(_plain(name), plain, n=1))
    ]
    return f" (did you mean {', '.join(near)}?)" if near else ""


def _plain(name: str) -> str:
    """Only letters and digits: `Hip-Hop` is similar to `hiphop`."""
    return "".join(letter for letter in name.casefold() if letter.isalnum() or letter in "/.")
