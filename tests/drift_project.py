"""A project with a champion trained on audible songs, and songs like and unlike them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from registry_project import (
    GENRES,
    Project,
    migrated_store,
    write_model,
    write_reports,
    write_songs,
)
from scipy.signal import butter, sosfilt
from songs import RATE, write

from genre.core.params import load_params
from genre.features.report import NAMES, extract

Samples = npt.NDArray[np.float32]
SIDES = ("train",) * 14 + ("validation",) * 4 + ("test",) * 2  # of a genre's songs
SECONDS = 3.0


def song(seed: int) -> Samples:
    """A song of three seconds, drawn afresh for each seed: pitch, loudness, noise and beat vary."""
    random = np.random.default_rng(seed)
    time = np.arange(round(SECONDS * RATE)) / RATE
    beat = random.uniform(0.2, 0.6)
    envelope = np.exp(-random.uniform(1, 6) * (time % beat) / beat)
    pitches = random.uniform(110, 1800, size=5)
    y = sum(np.sin(2 * np.pi * pitch * time) for pitch in pitches) * envelope / 10
    y = random.uniform(0.3, 0.9) * (y + random.uniform(0.002, 0.05) * random.normal(size=len(time)))
    return np.asarray(y, dtype=np.float32)


def muffled(y: Samples) -> Samples:
    """As through a wall: a low-pass filter, and a tenth of the level."""
    return np.asarray(0.1 * sosfilt(butter(4, 600, fs=RATE, output="sos"), y), dtype=np.float32)


def write_new(
    folder: Path, count: int, *, first: int = 50_000, change: Callable[[Samples], Samples] = np.copy
) -> None:
    """Write `count` songs that were not seen in training, each through `change`."""
    for number in range(count):
        write(folder / f"{number:03}.wav", change(song(first + number))[:, np.newaxis])


def rows_of(seeds: Iterable[int]) -> pd.DataFrame:
    """The columns of songs, a row a song."""
    return pd.DataFrame([extract(song(seed), RATE) for seed in seeds], columns=list(NAMES))


def make(root: Path, project: Path) -> Project:
    """A finished pipeline at `root` whose features are those of audible songs."""
    root.mkdir(parents=True, exist_ok=True)
    text = (project / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("min_songs: 50", "min_songs: 20"))
    (root / "mlruns").mkdir()
    shutil.copyfile(migrated_store(), root / "mlruns/mlflow.db")
    write_songs(root, GENRES, SIDES)
    path = root / "data/features/report/3s/part-0.parquet"
    table = pd.read_parquet(path)
    tracks = sorted(table["track_id"].unique())
    features = rows_of(range(len(tracks)))
    features.index = pd.Index(tracks)
    table[list(NAMES)] = features.loc[table["track_id"]].to_numpy()
    table.to_parquet(path, index=False)
    write_model(root, GENRES)
    write_reports(root)
    return Project(root, load_params(root / "params.yaml"))


def reference_folder(project: Project) -> Path:
    """Where the registered model of `project` keeps what it learned from."""
    place = project.root / "mlruns/artifacts/models" / project.receipt["model_id"]
    return place / "artifacts/artifacts/reference"
