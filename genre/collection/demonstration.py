"""The demo songs as a collection: made where there is none, replaced by real songs, never mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from genre.collection import sources, transaction
from genre.collection.contents import RAW, Contents, check_version, is_demo_row
from genre.collection.demo import GENRES, SONGS_PER_GENRE, source_of, write_songs
from genre.collection.report import Added
from genre.collection.sources import Candidate
from genre.collection.transaction import Change
from genre.core.errors import CollectionError
from genre.core.messages import command

FOLDER = "demo"
Say = Callable[[str], None]


def add_demo(
    root: Path = Path(),
    *,
    seed: int = 0,
    songs_per_genre: int = SONGS_PER_GENRE,
    workers: int = 0,
    say: Say = print,
) -> Added:
    """Make the demo songs the collection; at once where they are complete already.

    Raises `CollectionError` where real songs are there: the two never mix.
    """
    raw = root / RAW
    expected = songs_per_genre * len(GENRES)
    check_version(root)
    if (complete := _demo_is_complete(raw, seed, expected)) is not None:
        return complete
    with transaction.exclusive(raw, say) as staging:
        contents = Contents(raw)
        if real := len(contents.songs) - len(contents.demo):
            raise CollectionError(
                f"{raw} holds {real} songs that are not demo songs, and the two never mix; "
                f"take them out first ({command('genre remove SONGS')}) or use another copy of the "
                "project"
            )
        say(f"Making {expected} synthetic demo songs …")
        folder = staging / FOLDER
        write_songs(
            folder, seed=seed, songs_per_genre=songs_per_genre, genres=GENRES, workers=workers
        )
        offer = sources.look(folder)
        others = {path: path for path in contents.files if path not in contents.demo}
        change = Change(
            keep=others,
            move={song.file: song.path for song in offer.songs},
            manifest=offer.manifest.text(),
        )
        transaction.apply(raw, change, staging, say)
        return Added(
            added=tuple(song.path for song in offer.songs), replaced_demo=len(contents.demo)
        )


def is_demo(raw: Path) -> bool:
    """Whether the songs of the collection at `raw` are the demo songs."""
    contents = Contents(raw)
    return bool(contents.songs) and len(contents.demo) == len(contents.songs)


def _demo_is_complete(raw: Path, seed: int, expected: int) -> Added | None:
    """What adding the demo songs would say where they are all there; null where they are not."""
    contents = Contents(raw)
    rows = contents.manifest.rows
    ours = {path for path in contents.demo if rows[path].get("source") == source_of(seed)}
    whole = len(ours) == len(contents.songs) == expected and all(
        contents.files[path] for path in ours
    )
    return Added(already=expected) if whole else None


def to_replace(songs: Sequence[Candidate], contents: Contents) -> set[str]:
    """The demo songs that make place; raises `CollectionError` where the two would mix."""
    if not songs:  # an inbox with nothing to take
        return set()
    offered_demo = sum(is_demo_row(song.row) for song in songs)
    if not offered_demo:
        return contents.demo
    if offered_demo < len(songs) or len(contents.songs) > len(contents.demo):
        raise CollectionError(
            f"the source holds {offered_demo} synthetic demo songs, and they never mix with real "
            "ones; leave them out"
        )
    return set()
