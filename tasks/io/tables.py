"""Read the tables that several steps use, and check them."""

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
    """Whether songs with these `source` values are demo songs."""
    return any((source or "").startswith(SYNTHETIC) for source in sources)


def is_demo(root: Path) -> bool:
    """Whether the collection is the demo songs. Raises `InputError` without a catalogue."""
    import pyarrow.parquet as parquet

    path = root / paths.CATALOGUE
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('ingest')}")
    return is_synthetic(parquet.read_table(path, columns=["source"])["source"].to_pylist())


def read_songs(root: Path) -> pd.DataFrame:
    """Read the usable songs of the catalogue, sorted by `track_id`.

    Raises `InputError` if there is no catalogue.
    """
    import pandas as pd

    path = root / paths.CATALOGUE
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('ingest')}")
    return usable(pd.read_parquet(path))


def usable(catalogue: pd.DataFrame) -> pd.DataFrame:
    """Return the usable songs of a catalogue, sorted by `track_id`."""
    songs = catalogue[catalogue["status"] == "ok"]
    return songs.sort_values("track_id", ignore_index=True)


def song_paths(root: Path) -> dict[str, str]:
    """Map `track_id` to the path in the collection; empty without a catalogue."""
    import pandas as pd

    path = root / paths.CATALOGUE
    if not path.is_file():
        return {}
    table = pd.read_parquet(path, columns=["track_id", "path"])
    return dict(zip(table["track_id"], table["path"], strict=True))


def read_split(root: Path) -> pd.DataFrame:
    """Read the split, with its settings in `attrs`."""
    import pandas as pd

    path = root / paths.SPLIT
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('split')}")
    table = pd.read_parquet(path)
    if "settings" not in table.attrs:
        raise InputError(
            f"{path}: has no settings (protocol, shares, seed); run the step split again "
            f"({command('dvc repro --force split')})"
        )
    return table


def read_protocol(root: Path) -> str:
    """Return the protocol of the split."""
    return str(read_split(root).attrs["settings"]["protocol"])


def read_out_of_fold(root: Path, name: str) -> pd.DataFrame:
    """The out-of-fold predictions of a trained model; raises `InputError` if there are none."""
    import pandas as pd

    path = root / paths.MODELS / name / paths.HELD_OUT.name
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('train')}")
    return pd.read_parquet(path)


def find_clips(root: Path) -> list[Song]:
    """Return the clips of the step trim, sorted by name. Raises `InputError` if there are none."""
    clips = sorted((root / paths.CLIPS).glob("*.flac"))
    if not clips:
        raise InputError(f"{root / paths.CLIPS}: no clips; {run_step('trim')}")
    return [as_song(clip.stem, clip) for clip in clips]


def as_songs(table: pd.DataFrame, folder: Path) -> list[Song]:
    """Return the songs of a catalogue, with files below `folder`, to be processed."""
    rows = zip(table["track_id"], table["path"], table["sha256"], strict=True)
    return [Song(track_id, folder / path, sha256) for track_id, path, sha256 in rows]


def as_song(name: str, path: Path) -> Song:
    """Return the file at `path` to be processed; if it cannot be read, it fails later."""
    try:
        return Song(name, path, sha256_of(path))
    except OSError:
        return Song(name, path, content="")
