"""Demo songs as the collection; real songs replace them, and the two never mix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from genre.collection import sources, transaction
from genre.collection.add_result import AddResult
from genre.collection.demo import GENRES, SONGS_PER_GENRE, source_of, write_songs
from genre.collection.snapshot import RAW, Snapshot, check_version, is_demo_row
from genre.collection.sources import Candidate
from genre.collection.transaction import Change
from genre.core.errors import CollectionError
from genre.core.messages import command

FOLDER = "demo"
Log = Callable[[str], None]


def add_demo(
    root: Path = Path(),
    *,
    seed: int = 0,
    songs_per_genre: int = SONGS_PER_GENRE,
    workers: int = 0,
    log: Log = print,
) -> AddResult:
    """Make the demo songs and put them into the collection, unless they are already complete.

    Raises `CollectionError` if the collection holds real songs.
    """
    raw = root / RAW
    expected = songs_per_genre * len(GENRES)
    check_version(root)
    if (complete := _demo_is_complete(raw, seed, expected)) is not None:
        return complete
    with transaction.exclusive(raw, log) as staging:
        snapshot = Snapshot(raw)
        if real := len(snapshot.songs) - len(snapshot.demo):
            raise CollectionError(
                f"{raw} holds {real} songs that are not demo songs, and the two never mix; "
                f"remove them first ({command('genre remove SONGS')}) or use another copy of the "
                "project"
            )
        log(f"Making {expected} synthetic demo songs …")
        folder = staging / FOLDER
        write_songs(
            folder, seed=seed, songs_per_genre=songs_per_genre, genres=GENRES, workers=workers
        )
        listing = sources.list_source(folder)
        others = {path: path for path in snapshot.files if path not in snapshot.demo}
        change = Change(
            keep=others,
            move={song.file: song.path for song in listing.songs},
            manifest=listing.manifest.text(),
        )
        transaction.apply(raw, change, staging, log)
        return AddResult(
            added=tuple(song.path for song in listing.songs), replaced_demo=len(snapshot.demo)
        )


def is_demo(raw: Path) -> bool:
    """Whether the songs of the collection at `raw` are the demo songs."""
    snapshot = Snapshot(raw)
    return bool(snapshot.songs) and len(snapshot.demo) == len(snapshot.songs)


def _demo_is_complete(raw: Path, seed: int, expected: int) -> AddResult | None:
    """Return the result of adding the demo songs if they are complete, else None."""
    snapshot = Snapshot(raw)
    rows = snapshot.manifest.rows
    ours = {path for path in snapshot.demo if rows[path].get("source") == source_of(seed)}
    complete = len(ours) == len(snapshot.songs) == expected and all(
        snapshot.files[path] for path in ours
    )
    return AddResult(already=expected) if complete else None


def demo_to_replace(songs: Sequence[Candidate], snapshot: Snapshot) -> set[str]:
    """Return the demo songs to replace; raises `CollectionError` if the two would mix."""
    if not songs:  # an empty inbox
        return set()
    offered_demo = sum(is_demo_row(song.row) for song in songs)
    if not offered_demo:
        return snapshot.demo
    if offered_demo < len(songs) or len(snapshot.songs) > len(snapshot.demo):
        raise CollectionError(
            f"the source holds {offered_demo} synthetic demo songs, and they never mix with real "
            "ones; leave them out"
        )
    return set()
