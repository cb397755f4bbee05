"""Add songs to the collection from a folder, an archive, a URL, or the demo songs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from genre.collection import archives, inbox, manifest, sources, transaction
from genre.collection.add_result import AddResult
from genre.collection.archives import Limits
from genre.collection.demo_songs import add_demo, demo_to_replace
from genre.collection.snapshot import RAW, Names, Snapshot, check_version, digest
from genre.collection.sources import Candidate, Listing
from genre.collection.transaction import Change
from genre.core.errors import CollectionError

DEMO = "demo"
Log = Callable[[str], None]


def add(
    source: str | Path,
    root: Path = Path(),
    *,
    sha256: str | None = None,
    limits: Limits | None = None,
    move: bool = False,
    log: Log = print,
) -> AddResult:
    """Merge the songs of `source` into the collection of the project at `root`.

    `source` is a folder of genre folders, a zip or tar archive of one, an http(s) URL of such an
    archive, or the word `demo` (a folder of that name is `./demo`). `sha256` is the expected hash
    of the archive. A song outside the genre folders takes its genre from the `manifest.csv` at the
    top of the source. Songs whose content the collection already holds are skipped; a file whose
    path is taken is renamed; control characters and backslashes in names become `_`. Demo songs are
    replaced by real ones.

    With `move`, files are removed from the source folder once the collection holds them. Files that
    cannot be added stay there, and so do files that are still being written.

    Raises `CollectionError` if the source is refused and `GenreError` if a transfer or the disk
    fails; the collection is then unchanged.
    """
    raw = root / RAW
    if str(source) == DEMO:
        if sha256:
            raise CollectionError("--sha256 is for archives; the demo songs are made here")
        return add_demo(root, log=log)
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise CollectionError(f"--sha256 is {sha256!r}: expected 64 hexadecimal digits")
    if move and not Path(source).is_dir():
        raise CollectionError(f"{source}: --move needs a folder")
    check_version(root)
    if not _is_url(source):
        _check_local(Path(source), raw, sha256)
    with transaction.exclusive(raw, log) as staging:
        folder = _folder_of(source, staging, sha256, limits or Limits(), log)
        if move:
            listing = inbox.list_inbox(folder)
            added = _merge(listing, raw, staging, log, ours=False)
            return replace(added, moved=inbox.remove_added(folder, listing, Snapshot(raw)))
        listing = sources.list_source(folder)
        return _merge(listing, raw, staging, log, ours=folder.is_relative_to(staging))


def _check_local(source: Path, raw: Path, sha256: str | None) -> None:
    """Refuse a source that is not a folder or file, or that overlaps with the collection."""
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
    source: str | Path, staging: Path, sha256: str | None, limits: Limits, log: Log
) -> Path:
    """Return the folder of songs, downloaded and unpacked below `staging` if necessary."""
    archive = Path(source)
    if _is_url(source):
        from genre.collection import download

        archive = staging / "download" / download.file_name(str(source))
        archive.parent.mkdir()
        log(f"Downloading {download.shown(str(source))} …")
        download.fetch(str(source), archive, gigabytes=limits.gigabytes, log=log)
    elif archive.is_dir():
        return archive.resolve()
    if sha256 and (found := digest(archive)) != sha256.lower():
        raise CollectionError(f"{archive.name}: found sha256 {found}, expected {sha256.lower()}")
    log(f"Unpacking {archive.name} …")
    folder = staging / "unpacked"
    folder.mkdir()
    archives.unpack(archive, folder, limits)
    return sources.inner_folder(folder)


def _merge(listing: Listing, raw: Path, staging: Path, log: Log, *, ours: bool) -> AddResult:
    """Add the new songs of `listing`; move the files instead of copying if they are `ours`."""
    snapshot = Snapshot(raw)
    demo = demo_to_replace(listing.songs, snapshot)
    keep = {path: path for path in snapshot.files if path not in demo}
    rows = {path: row for path, row in snapshot.manifest.rows.items() if path in keep}
    names = Names(keep)
    new: dict[Path, str] = {}
    renamed, elsewhere = [], []
    already = described = 0
    for song in listing.songs:
        twins = [path for path in snapshot.twins(song.file) if path not in demo]
        same_genre = [path for path in twins if path.startswith(f"{song.genre}/")]
        if same_genre:
            already += 1
            described += _describe(rows, song, same_genre)
        elif twins:
            elsewhere.append((song.path, twins[0]))
        else:
            path = new[song.file] = names.reserve(song.path, song.file)
            original = song.file.name
            if path != song.path or song.path.rpartition("/")[2] != original:
                renamed.append((f"{song.genre}/{original}", path))
            if song.row is not None:
                rows[path] = {**song.row, "path": path, "genre": song.genre}
    added = AddResult(
        added=tuple(new.values()),
        already=already,
        described=described,
        elsewhere=tuple(elsewhere),
        renamed=tuple(renamed),
        skipped=tuple(sorted((+Counter(listing.skipped)).items())),
        unmatched=listing.unmatched,
        replaced_demo=len(demo),
    )
    if new or described or demo:
        table = manifest.Manifest(rows, list(snapshot.manifest.columns))
        table.add_columns(listing.manifest.columns)
        change = Change(
            keep=keep,
            copy={} if ours else new,
            move=new if ours else {},
            manifest=table.text() if rows else None,
        )
        transaction.apply(raw, change, staging, log)
    return added


def _describe(rows: dict[str, manifest.Row], song: Candidate, twins: list[str]) -> bool:
    """Fill empty cells of the manifest for an existing song; return whether any changed."""
    if song.row is None:
        return False
    path = song.path if song.path in twins else twins[0]
    known = {name: cell for name, cell in rows.get(path, {}).items() if cell}
    filled = {**song.row, "path": path, "genre": song.genre, **known}
    changed = {name: cell for name, cell in filled.items() if cell} != known
    rows[path] = filled
    return changed
