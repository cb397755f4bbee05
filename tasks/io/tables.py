"""The tables that several steps read, checked where they are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from genre.core.compute import Song
from genre.core.errors import InputError
from genre.core.files import sha256_of
from genre.core.messages import command, run_step
from tasks.io import paths

if TYPE_CHECKING:
    import pandas as pd

SYNTHETIC = "synthetic demo song"  # begins the `source` of every demo song


def is_synthetic(sources: Iterable[str | None]) -> bool:
    """Whether songs with these `source` values are the demo songs that the project makes."""
    return any((source or "").startswith(SYNTHETIC) for source in sources)


def is_demo(root: Path) -> bool:
    """Whether the collection is the demo songs; raises `InputError` without a catalogue."""
    import pyarrow.parquet as parquet

    path = root / paths.CATALOGUE
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('ingest')}")
    return is_synthetic(parquet.read_table(path, columns=["source"])["source"].to_pylist())


def read_songs(root: Path) -> pd.DataFrame:
    """The usable songs of the catalogue, sorted by `track_id`.

    Raises `InputError` where the catalogue is not there.
    """
    import pandas as pd

    path = root / paths.CATALOGUE
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('ingest')}")
    return usable(pd.read_parquet(path))


def usable(catalogue: pd.DataFrame) -> pd.DataFrame:
    """The usable songs of a catalogue, sorted by `track_id`."""
    songs = catalogue[catalogue["status"] == "ok"]
    return songs.sort_values("track_id", ignore_index=True)


def song_paths(root: Path) -> dict[str, str]:
    """The path of each song in the collection by its `track_id`; empty without a catalogue."""
    import pandas as pd

    path = root / paths.CATALOGUE
    if not path.is_file():
        return {}
    table = pd.read_parquet(path, columns=["track_id", "path"])
    return dict(zip(table["track_id"], table["path"], strict=True))


def read_split(root: Path) -> pd.DataFrame:
    """The split with what it was made with in its `attrs`."""
    import pandas as pd

    path = root / paths.SPLIT
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('split')}")
    table = pd.read_parquet(path)
    if "settings" not in table.attrs:
        raise InputError(
            f"{path}: does not say which protocol it was made with; run the step split again "
            f"({command('dvc repro --force split')})"
        )
    return table


def read_protocol(root: Path) -> str:
    """The protocol of the split."""
    return str(read_split(root).attrs["settings"]["protocol"])


def read_out_of_fold(root: Path, name: str) -> pd.DataFrame:
    """The out-of-fold predictions of a trained model; raises `InputError` if there are none."""
    import pandas as pd

    path = root / paths.MODELS / name / paths.HELD_OUT.name
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('train')}")
    return pd.read_parquet(path)


def find_clips(root: Path) -> list[Song]:
    """The clips that trim wrote, sorted by name; raises `InputError` where there are none."""
    clips = sorted((root / paths.CLIPS).glob("*.flac"))
    if not clips:
        raise InputError(f"{root / paths.CLIPS}: no clips; {run_step('trim')}")
    return [as_song(clip.stem, clip) for clip in clips]


def as_songs(table: pd.DataFrame, folder: Path) -> list[Song]:
    """The songs of a catalogue, whose files lie below `folder`, as work to do."""
    rows = zip(table["track_id"], table["path"], table["sha256"], strict=True)
    return [Song(track_id, folder / path, sha256) for track_id, path, sha256 in rows]


def as_song(name: str, path: Path) -> Song:
    """The file at `path` as work to do; what cannot be read fails in its turn, with the reason."""
    try:
        return Song(name, path, sha256_of(path))
    except OSError:
        return Song(name, path, content="")
