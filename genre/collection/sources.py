"""What a source offers: its songs, each with the genre it goes to, and what is left aside.

The first level of folders is the genre. A song at the top, in no genre folder, takes its genre
from the `genre` column of the manifest beside it, and is left out where that says nothing. A song
in a folder keeps the folder's genre, whatever the manifest says. Symbolic links in a folder are
followed to files inside it only; one that leads out of it is refused.
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

# Files that lie beside songs and are plainly none: ingest decides by content about all others.
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
LONGEST_NAME = 255  # bytes, of one part of a path on every common file system
UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
NOT_A_SONG, NO_GENRE, LINK = "not songs", "without a genre", "links or devices"
NO_FOLDER = "in a folder that cannot be a genre"


@dataclass(frozen=True)
class Candidate:
    """A song that a source offers: `name` is its path below the genre folder, posix."""

    file: Path
    genre: str
    name: str
    row: Row | None

    @property
    def path(self) -> str:
        """Where it would lie in the collection."""
        return f"{self.genre}/{self.name}"


@dataclass
class Offer:
    """Everything that a source offers; `skipped` counts the files left aside by reason."""

    songs: list[Candidate] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    manifest: Manifest = field(default_factory=Manifest)
    unmatched: int = 0  # rows of the manifest that name no song


def look(folder: Path, *, strict: bool = True) -> Offer:
    """What the folder tree at `folder` offers, sorted by path.

    Raises `CollectionError` where it offers no song, a link leads out of it, or a genre cannot be
    the name of a folder; unless `strict`, these are counted as skipped.
    """
    offer = Offer(manifest=manifest.read(folder))
    found: set[str] = set()
    for file in _files(folder, offer.skipped, strict=strict):
        path = file.relative_to(folder).as_posix()
        parts = path.split("/")
        if file.suffix.lower() in NO_SONG:
            offer.skipped[NOT_A_SONG] += path != manifest.MANIFEST
            continue
        row = offer.manifest.find(path)
        if row is not None:
            found.add(row["path"])
        genre = parts[0] if len(parts) > 1 else (row or {}).get("genre", "")
        if not genre:
            offer.skipped[NO_GENRE] += 1
            continue
        if not strict and not _is_genre(genre):
            offer.skipped[NO_FOLDER] += 1
            continue
        checked_genre(genre)
        name = "/".join(_safe(part) for part in (parts[1:] or parts))
        offer.songs.append(Candidate(file, genre, name, row))
    offer.songs.sort(key=lambda song: song.path)
    offer.unmatched = len(offer.manifest.rows) - len(found)
    if strict and not offer.songs:
        raise CollectionError(f"{folder.name}: holds no songs{_instead(offer)}")
    return offer


def inner_folder(unpacked: Path) -> Path:
    """Where the songs of an unpacked archive start: in its one top folder if it has just one.

    A lone top folder that directly holds songs is a genre; one that holds a manifest or only
    folders is a wrapping.
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


def checked_genre(name: str) -> str:
    """`name`; raises `CollectionError` where it cannot be the name of a genre folder."""
    problem = None
    if name != name.strip() or not name:
        problem = "is empty, or starts or ends with a space"
    elif "/" in name or UNSAFE.search(name):
        problem = "holds a slash or a control character"
    elif _hidden(name) or name == manifest.MANIFEST:
        problem = "starts with a dot or is reserved"
    elif len(os.fsencode(name)) > LONGEST_NAME:
        problem = f"is longer than {LONGEST_NAME} bytes"
    if problem:
        raise CollectionError(f"the genre {name!r} {problem}: it cannot name a folder; rename it")
    return name


def _is_genre(name: str) -> bool:
    try:
        return checked_genre(name) == name
    except CollectionError:
        return False


def _files(folder: Path, skipped: Counter[str], *, strict: bool) -> Iterator[Path]:
    """The visible plain files below `folder`, sorted; what is skipped is counted."""
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
    """Whether `path` is, or links to, a plain file: a pipe is never opened."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:  # a link to nothing
        return False


def _unreadable(error: OSError) -> None:
    raise CollectionError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _safe(name: str) -> str:
    """A file name without control characters (of direction too), backslashes, undecodable bytes."""
    return UNSAFE.sub("_", name)


def _instead(offer: Offer) -> str:
    """What was found in the place of songs."""
    if offer.skipped[NO_GENRE]:
        return (
            f" in genre folders, and {offer.skipped[NO_GENRE]} at the top without a genre; "
            f"put each in a folder named as its genre, or name it in {manifest.MANIFEST}"
        )
    return "; expected a folder for each genre with songs in it"
