"""List the songs of a source folder with their genres.

The first level of folders is the genre. A song at the top takes its genre from the column `genre`
of the source's manifest, and is skipped without one; for a song in a folder the folder's name
counts. Symbolic links are followed to files inside the source; links out of it are refused.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from genre.collection import manifest
from genre.collection.manifest import Manifest, Row
from genre.core.errors import CollectionError

# Suffixes of files that are not songs; ingest decides by content about all others.
NO_SONG = frozenset(
    f".{suffix}"
    for line in (
        "csv tsv txt json jsonl md rst pdf doc docx rtf htm html xml yaml yml toml ini cfg log",
        "nfo cue m3u m3u8 pls sfv md5 sha1 sha256 lrc srt url db sqlite py ipynb sh dvc",
        "jpg jpeg png gif webp bmp tif tiff svg ico mid midi npy npz parquet pkl",
        "zip tar gz bz2 xz zst 7z rar",
    )
    for suffix in line.split()
)
MAX_NAME = 255  # bytes of a file name on common file systems
UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
NOT_A_SONG, NO_GENRE, LINK = "not songs", "without a genre", "links or devices"
NO_FOLDER = "in a folder that cannot be a genre"


@dataclass(frozen=True)
class Candidate:
    """A song of a source; `name` is its path below the genre folder, posix."""

    file: Path
    genre: str
    name: str
    row: Row | None

    @property
    def path(self) -> str:
        """Its path in the collection."""
        return f"{self.genre}/{self.name}"


@dataclass
class Listing:
    """The songs and the manifest of a source; `skipped` counts skipped files by reason."""

    songs: list[Candidate] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    manifest: Manifest = field(default_factory=Manifest)
    unmatched: int = 0  # rows of the manifest without a song


def list_source(folder: Path, *, strict: bool = True) -> Listing:
    """List the songs of `folder`, sorted by path.

    Raises `CollectionError` if it holds no songs, a link leads out of it, or a genre is not a valid
    folder name; unless `strict`, these are counted as skipped.
    """
    listing = Listing(manifest=manifest.read(folder))
    found: set[str] = set()
    for file in _files(folder, listing.skipped, strict=strict):
        path = file.relative_to(folder).as_posix()
        parts = path.split("/")
        if file.suffix.lower() in NO_SONG:
            listing.skipped[NOT_A_SONG] += path != manifest.MANIFEST
            continue
        row = listing.manifest.find(path)
        if row is not None:
            found.add(row["path"])
        genre = parts[0] if len(parts) > 1 else (row or {}).get("genre", "")
        if not genre:
            listing.skipped[NO_GENRE] += 1
            continue
        if not strict and not _is_genre(genre):
            listing.skipped[NO_FOLDER] += 1
            continue
        valid_genre(genre)
        name = "/".join(_safe(part) for part in (parts[1:] or parts))
        listing.songs.append(Candidate(file, genre, name, row))
    listing.songs.sort(key=lambda song: song.path)
    listing.unmatched = len(listing.manifest.rows) - len(found)
    if strict and not listing.songs:
        raise CollectionError(f"{folder.name}: holds no songs{_found_instead(listing)}")
    return listing


def inner_folder(unpacked: Path) -> Path:
    """Return the folder of an unpacked archive that holds the genre folders.

    If there is a single top folder that holds a manifest or only folders, it is that one. A single
    top folder with songs is a genre.
    """
    top = _songs_and_folders(unpacked)
    if len(top) != 1 or not top[0].is_dir() or (unpacked / manifest.MANIFEST).exists():
        return unpacked
    if (top[0] / manifest.MANIFEST).exists():
        return top[0]
    return unpacked if any(path.is_file() for path in _songs_and_folders(top[0])) else top[0]


def _songs_and_folders(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if not _hidden(path.name) and (path.is_dir() or path.suffix.lower() not in NO_SONG)
    ]


def valid_genre(name: str) -> str:
    """Return `name`; raises `CollectionError` if it is not a valid name of a genre folder."""
    problem = None
    if name != name.strip() or not name:
        problem = "is empty, or starts or ends with a space"
    elif "/" in name or UNSAFE.search(name):
        problem = "holds a slash or a control character"
    elif _hidden(name) or name == manifest.MANIFEST:
        problem = "starts with a dot or is reserved"
    elif len(os.fsencode(name)) > MAX_NAME:
        problem = f"is longer than {MAX_NAME} bytes"
    if problem:
        raise CollectionError(
            f"the genre {name!r} {problem}: it is not a valid folder name; rename it"
        )
    return name


def _is_genre(name: str) -> bool:
    try:
        return valid_genre(name) == name
    except CollectionError:
        return False


def _files(folder: Path, skipped: Counter[str], *, strict: bool) -> Iterator[Path]:
    """Yield the visible plain files below `folder`, sorted; count skipped ones."""
    inside = folder.resolve()
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in [*links, *(name for name in names if (here / name).is_symlink())]:
            target = (here / name).resolve()
            if target.is_relative_to(inside):
                continue
            if strict:
                raise CollectionError(
                    f"{(here / name).relative_to(folder)}: is a link out of {folder.name} "
                    f"(to {target}); copy the file itself there, or add that folder instead"
                )
            if name in names:
                names.remove(name)
                skipped[LINK] += 1
        skipped[LINK] += len(links)
        folders[:] = sorted(name for name in folders if name not in links and not _hidden(name))
        for name in sorted(names):
            if _hidden(name):
                skipped[NOT_A_SONG] += 1
            elif _is_plain(here / name):
                yield here / name
            else:
                skipped[LINK] += 1


def _is_plain(path: Path) -> bool:
    """Whether `path` is, or links to, a plain file (and not a pipe)."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:  # a broken link
        return False


def _unreadable(error: OSError) -> None:
    raise CollectionError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _safe(name: str) -> str:
    """Replace control characters (also bidirectional ones), backslashes and bad bytes by `_`."""
    return UNSAFE.sub("_", name)


def _found_instead(listing: Listing) -> str:
    """Describe what was found instead of songs."""
    if listing.skipped[NO_GENRE]:
        return (
            f" in genre folders, and {listing.skipped[NO_GENRE]} at the top without a genre; "
            f"put each in a folder named as its genre, or name it in {manifest.MANIFEST}"
        )
    return "; expected a folder for each genre with songs in it"
