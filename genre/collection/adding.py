"""Add songs to the collection: from a folder, an archive, a URL, or the project's demo songs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from genre.collection import archives, inbox, manifest, sources, transaction
from genre.collection.archives import Limits
from genre.collection.contents import RAW, Contents, Names, check_version, digest
from genre.collection.demonstration import add_demo, to_replace
from genre.collection.report import Added
from genre.collection.sources import Candidate, Offer
from genre.collection.transaction import Change
from genre.core.errors import CollectionError

DEMO = "demo"
Say = Callable[[str], None]


def add(
    source: str | Path,
    root: Path = Path(),
    *,
    sha256: str | None = None,
    limits: Limits | None = None,
    move: bool = False,
    say: Say = print,
) -> Added:
    """Merge the songs of `source` into the collection of the project at `root`.

    `source` is a folder whose first level is the genre, a zip or tar archive of one, an http(s)
    URL of such an archive, or the word `demo` (a folder of that name is `./demo`). `sha256` is
    the expected hash of the archive. A song in no genre folder takes its genre from the
    `manifest.csv` at the top of the source; otherwise the folder wins. Content that is there
    already is not added again; another file of the same path gets a name of its own, and control
    characters and backslashes in file names become `_`. Demo songs make place for real ones.

    With `move`, a folder is an inbox: once the collection holds a song, its file there is removed;
    what cannot be taken stays, and a file that is still being written waits for the next time.

    Raises `CollectionError` where the source is refused and `GenreError` where a transfer or the
    disk fails; the collection is then as it was.
    """
    raw = root / RAW
    if str(source) == DEMO:
        if sha256:
            raise CollectionError("--sha256 is for archives; the demo songs are made here")
        return add_demo(root, say=say)
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise CollectionError(f"--sha256 is {sha256!r}: expected 64 hexadecimal digits")
    if move and not Path(source).is_dir():
        raise CollectionError(f"{source}: --move empties a folder, and this is none")
    check_version(root)
    if not _is_url(source):
        _check_local(Path(source), raw, sha256)
    with transaction.exclusive(raw, say) as staging:
        folder = _folder_of(source, staging, sha256, limits or Limits(), say)
        if move:
            offer = inbox.look(folder)
            added = _merge(offer, raw, staging, say, ours=False)
            return replace(added, moved=inbox.clear(folder, offer, Contents(raw)))
        offer = sources.look(folder)
        return _merge(offer, raw, staging, say, ours=folder.is_relative_to(staging))


def _check_local(source: Path, raw: Path, sha256: str | None) -> None:
    """Refuse what is no folder and no archive, and the collection itself."""
    if not source.exists():
        raise CollectionError(
            f"{source}: no such folder or archive; expected a folder of genre folders, an archive "
            f"of one, its URL, or the word {DEMO}"
        )
    here, there = source.resolve(), raw.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise CollectionError(
            f"{source}: is, holds or lies in the collection ({raw}) itself; add another folder"
        )
    if source.is_dir():
        if sha256:
            raise CollectionError(f"--sha256 is for archives, and {source} is a folder")
    elif not source.is_file():
        raise CollectionError(f"{source}: is neither a folder nor a file")


def _is_url(source: str | Path) -> bool:
    return str(source).lower().startswith(("http://", "https://"))


def _folder_of(
    source: str | Path, staging: Path, sha256: str | None, limits: Limits, say: Say
) -> Path:
    """The folder tree that `source` is or holds, downloaded and unpacked below `staging`."""
    archive = Path(source)
    if _is_url(source):
        from genre.collection import download

        archive = staging / "download" / download.file_name(str(source))
        archive.parent.mkdir()
        say(f"Downloading {download.shown(str(source))} …")
        download.fetch(str(source), archive, gigabytes=limits.gigabytes, say=say)
    elif archive.is_dir():
        return archive.resolve()
    if sha256 and (found := digest(archive)) != sha256.lower():
        raise CollectionError(f"{archive.name}: found sha256 {found}, expected {sha256.lower()}")
    say(f"Unpacking {archive.name} …")
    folder = staging / "unpacked"
    folder.mkdir()
    archives.unpack(archive, folder, limits)
    return sources.inner_folder(folder)


def _merge(offer: Offer, raw: Path, staging: Path, say: Say, *, ours: bool) -> Added:
    """Add what is new of `offer`; its files may be moved where they are `ours`."""
    contents = Contents(raw)
    demo = to_replace(offer.songs, contents)
    keep = {path: path for path in contents.files if path not in demo}
    rows = {path: row for path, row in contents.manifest.rows.items() if path in keep}
    names = Names(keep)
    take: dict[Path, str] = {}
    renamed, elsewhere = [], []
    already = described = 0
    for song in offer.songs:
        twins = [path for path in contents.twins(song.file) if path not in demo]
        same_genre = [path for path in twins if path.startswith(f"{song.genre}/")]
        if same_genre:
            already += 1
            described += _describe(rows, song, same_genre)
        elif twins:
            elsewhere.append((song.path, twins[0]))
        else:
            path = take[song.file] = names.give(song.path, song.file)
            original = song.file.name
            if path != song.path or song.path.rpartition("/")[2] != original:
                renamed.append((f"{song.genre}/{original}", path))
            if song.row is not None:
                rows[path] = {**song.row, "path": path, "genre": song.genre}
    added = Added(
        added=tuple(take.values()),
        already=already,
        described=described,
        elsewhere=tuple(elsewhere),
        renamed=tuple(renamed),
        skipped=tuple(sorted((+Counter(offer.skipped)).items())),
        unmatched=offer.unmatched,
        replaced_demo=len(demo),
    )
    if take or described or demo:
        table = manifest.Manifest(rows, list(contents.manifest.columns))
        table.add_columns(offer.manifest.columns)
        change = Change(
            keep=keep,
            take={} if ours else take,
            move=take if ours else {},
            manifest=table.text() if rows else None,
        )
        transaction.apply(raw, change, staging, say)
    return added


def _describe(rows: dict[str, manifest.Row], song: Candidate, twins: list[str]) -> bool:
    """Fill what is not known yet of a song that is there; whether anything was."""
    if song.row is None:
        return False
    path = song.path if song.path in twins else twins[0]
    known = {name: cell for name, cell in rows.get(path, {}).items() if cell}
    filled = {**song.row, "path": path, "genre": song.genre, **known}
    changed = {name: cell for name, cell in filled.items() if cell} != known
    rows[path] = filled
    return changed
