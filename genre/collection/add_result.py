"""The result of adding songs, as data and as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from genre.core.messages import command

MAX_SHOWN = 10  # songs in each list


@dataclass(frozen=True)
class AddResult:
    """The result of `add`; paths are relative to the collection."""

    added: tuple[str, ...] = ()
    already: int = 0  # songs that the genre already holds
    described: int = 0  # of these, songs with new metadata
    elsewhere: tuple[tuple[str, str], ...] = ()  # path in the source, path in another genre
    renamed: tuple[tuple[str, str], ...] = ()  # path in the source, path in the collection
    skipped: tuple[tuple[str, int], ...] = ()  # skipped files: reason, number
    unmatched: int = 0  # rows of the source's manifest without a song
    moved: int = 0  # files removed from the source
    replaced_demo: int = 0  # demo songs that were replaced


def summary_lines(added: AddResult, raw: Path) -> list[str]:
    """Describe the result for the user; `raw` is the folder of the collection."""
    text = []
    if added.replaced_demo and added.added:
        text.append(f"Replaced the {added.replaced_demo} synthetic demo songs.")
    if added.added:
        genres = Counter(path.partition("/")[0] for path in added.added)
        counts = ", ".join(f"{genre} {count}" for genre, count in sorted(genres.items()))
        text.append(f"Added {_songs(len(added.added))} to {raw}: {counts}.")
    else:
        text.append("No song was added.")
    if added.already:
        filled = f"; {added.described} of them got more metadata" if added.described else ""
        text.append(f"Already in the collection: {_songs(added.already)}{filled}.")
    for wanted, path in added.elsewhere[:MAX_SHOWN]:
        genre = wanted.partition("/")[0]
        text.append(
            f"Not added: {wanted} is in the collection as {path}; to move it: "
            + command(f"genre relabel {quote(path)} {quote(genre)}")
        )
    text += _more(len(added.elsewhere))
    text += [f"Renamed: {old} to {new}." for old, new in added.renamed[:MAX_SHOWN]]
    text += _more(len(added.renamed))
    if added.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in added.skipped)
        text.append(f"Files skipped: {reasons}.")
    if added.moved:
        text.append(f"Removed from the source: {_songs(added.moved)}.")
    if added.unmatched:
        text.append(f"Rows of the source's manifest without a song: {added.unmatched}.")
    return text


def _songs(count: int) -> str:
    return f"{count} song{'' if count == 1 else 's'}"


def _more(count: int) -> list[str]:
    return [f"… and {count - MAX_SHOWN} more."] if count > MAX_SHOWN else []
