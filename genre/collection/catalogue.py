"""The catalogue: one row for each file of the collection, usable or set aside with a reason.

Columns are `COLUMNS`, then whatever further columns the collection's `manifest.csv` has. Text is
null where nothing is known; `seconds`, `sample_rate` and `channels` are null where the file could
not be read. `track_id` is the start of the file's sha256, so it names content and not a place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genre.audio import Scan, scan
from genre.core.compute import Failed, Song, Source
from genre.core.errors import InputError
from genre.core.messages import command
from genre.core.params import IngestParams

if TYPE_CHECKING:
    import pandas as pd

TRACK_ID_LENGTH = 16
OK, SET_ASIDE = "ok", "set_aside"
COLUMNS = (
    "track_id",
    "path",
    "genre",
    "artist",
    "title",
    "licence",
    "source",
    "sha256",
    "audio_sha256",
    "seconds",
    "sample_rate",
    "channels",
    "codec",
    "duplicate_of",
    "status",
    "reason",
)
FROM_MANIFEST = ("artist", "title", "licence", "source")


@dataclass
class Listened:
    """What one file turned out to be; `reason` is null for a usable song."""

    path: str
    sha256: str | None
    audio_sha256: str | None = None
    seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    codec: str | None = None
    artist: str | None = None
    title: str | None = None
    reason: str | None = None


def find_songs(raw: Path) -> list[str]:
    """The songs of the collection `raw`, as `songs_below` lists them.

    Raises `InputError` where there is no collection or it is empty.
    """
    if not raw.is_dir():
        raise InputError(
            f"{raw}: no such folder; add songs first: {command('genre add SOURCE')} (or: "
            f"{command('genre add demo')})"
        )
    songs = songs_below(raw)
    if not songs:
        raise InputError(
            f"{raw}: found no songs in genre folders; add some: {command('genre add SOURCE')}"
        )
    return songs


def songs_below(folder: Path) -> list[str]:
    """The files in the genre folders of `folder`, as sorted posix paths relative to it.

    Hidden files are no songs. Raises `InputError` for a name that is no UTF-8, which neither DVC
    nor a table can hold.
    """
    paths = (path for path in folder.glob("*/**/*") if path.is_file())
    below = (path.relative_to(folder) for path in paths)
    names = sorted(
        path.as_posix() for path in below if not any(part.startswith(".") for part in path.parts)
    )
    for name in names:
        if not name.isascii() and name != name.encode(errors="replace").decode():
            raise InputError(
                f"{folder}: {os.fsencode(name)!r} is not the name of a file in UTF-8; rename it, "
                f"or take it out and add it by {command('genre add SOURCE')}, which gives it "
                "another"
            )
    return names


def listen(source: Source, content: str, *, max_seconds: float) -> bytes:
    """Read one song from end to end; returns a `Scan` as JSON.

    `content`, its hash, is not looked at: whatever is heard is what the catalogue tells. Raises
    `AudioError` for what cannot be used at all.
    """
    del content
    return json.dumps(asdict(scan(source, max_seconds=max_seconds))).encode()


def judge(song: Song, heard: bytes | Failed, settings: IngestParams) -> Listened:
    """Decide whether a song is usable; `heard` is what `listen` returned."""
    if isinstance(heard, Failed):
        return Listened(song.name, song.content or None, reason=heard.reason)
    found = Scan(**json.loads(heard))
    reason = None
    if found.seconds < settings.min_seconds:
        reason = (
            f"is {found.seconds:.2f} s long, shorter than ingest.min_seconds "
            f"({settings.min_seconds:g} s)"
        )
    elif found.loudest_dbfs < settings.silence_dbfs:
        reason = (
            f"is silent: its loudest part is at {found.loudest_dbfs:.0f} dBFS, below "
            f"ingest.silence_dbfs ({settings.silence_dbfs:g})"
        )
    return Listened(
        song.name,
        song.content,
        audio_sha256=found.audio_sha256,
        seconds=found.seconds,
        sample_rate=found.sample_rate,
        channels=found.channels,
        codec=found.codec,
        artist=found.tags.get("artist"),
        title=found.tags.get("title"),
        reason=reason,
    )


def build(songs: Iterable[Listened], manifest: pd.DataFrame) -> pd.DataFrame:
    """Make the catalogue of `songs`; `manifest` has a column `path` and any others.

    What the manifest says of artist and title wins over the file's own tags. Of several files
    with the same decoded audio the first by path is kept.
    """
    import pandas as pd

    table = pd.DataFrame([asdict(song) for song in songs]).sort_values("path", ignore_index=True)
    table["track_id"] = table["sha256"].str[:TRACK_ID_LENGTH]
    table["genre"] = table["path"].str.split("/").str[0]
    table = _join_manifest(table, manifest)
    table["duplicate_of"] = None
    _set_duplicates_aside(table)
    table["status"] = table["reason"].isna().map({True: OK, False: SET_ASIDE})
    further = [column for column in table.columns if column not in COLUMNS]
    text = [name for name in COLUMNS if name not in ("seconds", "sample_rate", "channels")]
    types: dict[str, str] = dict.fromkeys((*text, *further), "str")
    types |= {"seconds": "float64", "sample_rate": "Int32", "channels": "Int16"}
    return pd.DataFrame(table[[*COLUMNS, *further]].astype(types))


def check(catalogue: pd.DataFrame, settings: IngestParams) -> None:
    """Raise `InputError` where too few songs are left to learn from."""
    duplicate = catalogue["duplicate_of"].notna()
    unusable = catalogue[(catalogue["status"] == SET_ASIDE) & ~duplicate]
    share = len(unusable) / len(catalogue)
    if share > settings.max_set_aside:
        examples = "\n".join(f"  {row.path} {row.reason}" for row in unusable.head(5).itertuples())
        raise InputError(
            f"{len(unusable)} of {len(catalogue)} files cannot be used, more than "
            f"ingest.max_set_aside ({settings.max_set_aside:g}) allows:\n{examples}\n"
            f"fix or remove them ({command('genre remove SONGS')}), or raise that parameter"
        )
    usable = catalogue[catalogue["status"] == OK]
    counts = catalogue.groupby("genre").size() * 0
    counts = counts.add(usable.groupby("genre").size(), fill_value=0).astype(int)
    few = counts[counts < settings.min_songs_per_genre]
    if len(few):
        found = ", ".join(f"{genre} has {count}" for genre, count in few.items())
        raise InputError(
            f"too few usable songs: {found}; every genre needs at least "
            f"{settings.min_songs_per_genre} (ingest.min_songs_per_genre): add songs to it, or "
            f"take the genre out ({command('genre remove GENRE')})"
        )
    if len(counts) < 2:
        raise InputError(
            f"found one genre ({counts.index[0]}), expected at least two to tell apart: add another"
        )


def _join_manifest(table: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Add the manifest's columns to the rows with the same path."""
    taken = [name for name in COLUMNS if name not in (*FROM_MANIFEST, "path")]
    manifest = manifest.drop(columns=taken, errors="ignore")
    table = table.merge(manifest, on="path", how="left", suffixes=("_tag", ""))
    for name in FROM_MANIFEST:
        if name not in table.columns:
            table[name] = None
        if f"{name}_tag" in table.columns:
            table[name] = table[name].where(table[name].notna(), table.pop(f"{name}_tag"))
    return table


def _set_duplicates_aside(table: pd.DataFrame) -> None:
    """Mark, in place, all but the first usable file of each decoded audio."""
    usable = table[table["reason"].isna()]
    for _, same in usable.groupby("audio_sha256"):
        first = same.iloc[0]
        for index, row in same.iloc[1:].iterrows():
            other = "" if row["genre"] == first["genre"] else " under another genre"
            table.loc[index, "duplicate_of"] = first["track_id"]
            table.loc[index, "reason"] = f"is an exact duplicate of {first['path']}{other}"
