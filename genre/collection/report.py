"""What happened when songs were added, as data and in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from genre.core.messages import command

MOST_SHOWN = 10  # songs named one by one


@dataclass(frozen=True)
class Added:
    """What `add` did; paths are relative to the collection."""

    added: tuple[str, ...] = ()
    already: int = 0  # songs whose content was there in the same genre
    described: int = 0  # of them, those whose row of the manifest was filled in
    elsewhere: tuple[tuple[str, str], ...] = ()  # offered as, and there under another genre as
    renamed: tuple[tuple[str, str], ...] = ()  # offered as, and added as
    skipped: tuple[tuple[str, int], ...] = ()  # files left aside: why, and how many
    unmatched: int = 0  # rows of the source's manifest that name no song
    moved: int = 0  # files taken out of the source, as the collection holds them
    replaced_demo: int = 0  # demo songs that made place for real ones


def lines(added: Added, raw: Path) -> list[str]:
    """What a person wants to read after songs were added to the collection at `raw`."""
    told = []
    if added.replaced_demo and added.added:
        told.append(f"The {added.replaced_demo} synthetic demo songs made place for these.")
    if added.added:
        genres = Counter(path.partition("/")[0] for path in added.added)
        counts = ", ".join(f"{genre} {count}" for genre, count in sorted(genres.items()))
        told.append(f"Added {_songs(len(added.added))} to {raw}: {counts}.")
    else:
        told.append("No song was added.")
    if added.already:
        filled = f"; {added.described} of them now better described" if added.described else ""
        told.append(f"There already: {_songs(added.already)}{filled}.")
    for wanted, path in added.elsewhere[:MOST_SHOWN]:
        genre = wanted.partition("/")[0]
        told.append(
            f"Not added: {wanted} is there as {path}; to move it: "
            + command(f"genre relabel {quote(path)} {quote(genre)}")
        )
    told += _more(len(added.elsewhere))
    told += [f"Renamed: {old} is {new} here." for old, new in added.renamed[:MOST_SHOWN]]
    told += _more(len(added.renamed))
    if added.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in added.skipped)
        told.append(f"Files left aside: {reasons}.")
    if added.moved:
        told.append(f"Taken out of the source: {_songs(added.moved)}.")
    if added.unmatched:
        told.append(f"Rows of the source's manifest that name no song: {added.unmatched}.")
    return told


def _songs(count: int) -> str:
    return f"{count} song{'' if count == 1 else 's'}"


def _more(count: int) -> list[str]:
    return [f"… and {count - MOST_SHOWN} more."] if count > MOST_SHOWN else []
