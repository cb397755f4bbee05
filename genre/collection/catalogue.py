"""The catalogue: a row for each file of the collection, usable or set aside with a reason.

Columns are `COLUMNS`, then any further columns of `manifest.csv`. Unknown text is null; `seconds`,
`sample_rate` and `channels` are null if the file could not be read. `track_id` is the first 16 hex
digits of the file's sha256: it identifies content, not a path.
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
class ScanResult:
    """The scan of a file; `reason` is None if the song is usable."""

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
    """Return the songs of the collection `raw` (see `list_songs`).

    Raises `InputError` if there is no collection or it is empty.
    """
    if not raw.is_dir():
        raise InputError(
            f"{raw}: no such folder; add songs first: {command('genre add SOURCE')} (or: "
            f"{command('genre add demo')})"
        )
    songs = list_songs(raw)
    if not songs:
        raise InputError(
            f"{raw}: found no songs in genre folders; add some: {command('genre add SOURCE')}"
        )
    return songs


def list_songs(folder: Path) -> list[str]:
    """Return the visible files in the genre folders of `folder`, as sorted posix paths below it.

    Raises `InputError` for a name that is not UTF-8, which DVC and Parquet cannot store.
    """
    paths = (path for path in folder.glob("*/**/*") if path.is_file())
    below = (path.relative_to(folder) for path in paths)
    names = sorted(
        path.as_posix() for path in below if not any(part.startswith(".") for part in path.parts)
    )
    for name in names:
        if not name.isascii() and name != name.encode(errors="replace").decode():
            raise InputError(
                f"{folder}: {os.fsencode(name)!r} is a file name that is not UTF-8; rename it, or "
                f"remove it and add it by {command('genre add SOURCE')}, which renames it"
            )
    return names


def scan_song(source: Source, content: str, *, max_seconds: float) -> bytes:
    """Scan one song; return a `Scan` as JSON.

    `content`, its hash, is not verified. Raises `AudioError` if the song cannot be used.
    """
    del content
    return json.dumps(asdict(scan(source, max_seconds=max_seconds))).encode()


def check_song(song: Song, scanned: bytes | Failed, settings: IngestParams) -> ScanResult:
    """Decide whether a song is usable; `scanned` is the result of `scan_song`."""
    if isinstance(scanned, Failed):
        return ScanResult(song.name, song.content or None, reason=scanned.reason)
    found = Scan(**json.loads(scanned))
    reason = None
    if found.seconds < settings.min_seconds:
        reason = (
            f"is {found.seconds:.2f} s long, shorter than ingest.min_seconds "
            f"({settings.min_seconds:g} s)"
        )
    elif found.loudest_dbfs < settings.silence_dbfs:
        reason = (
            f"is silent: its loudest 3 s are at {found.loudest_dbfs:.0f} dBFS, below "
            f"ingest.silence_dbfs ({settings.silence_dbfs:g})"
        )
    return ScanResult(
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


def build(songs: Iterable[ScanResult], manifest: pd.DataFrame) -> pd.DataFrame:
    """Build the catalogue of `songs`; `manifest` has a column `path` and any others.

    Artist and title of the manifest have priority over the file's tags. Of several files with the
    same decoded audio, the first by path is kept.
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
    """Raise `InputError` if too few songs are usable."""
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
            f"remove the genre ({command('genre remove GENRE')})"
        )
    if len(counts) < 2:
        raise InputError(f"found one genre ({counts.index[0]}), expected at least two: add another")


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
    """Set aside, in place, all but the first of the usable files with the same decoded audio."""
    usable = table[table["reason"].isna()]
    for _, same in usable.groupby("audio_sha256"):
        first = same.iloc[0]
        for index, row in same.iloc[1:].iterrows():
            other = "" if row["genre"] == first["genre"] else " under another genre"
            table.loc[index, "duplicate_of"] = first["track_id"]
            table.loc[index, "reason"] = f"is an exact duplicate of {first['path']}{other}"
