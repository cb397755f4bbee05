"""A project whose pipeline has run, made of arrays: what `register` reads, in a moment.

Each genre has one feature that is high in its songs, so that a small network made by hand knows
them, and one with its answers swapped does not.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from songs import tone, write
from sqlalchemy import event
from sqlalchemy.engine import Engine

from genre import evaluation
from genre.core.files import write_json, write_parquet
from genre.core.params import MlpParams, Params, TrackingParams, load_params
from genre.features.report import NAMES
from genre.models.base import Epoch, History
from genre.models.ensemble import Ensemble
from genre.models.mlp import Mlp
from genre.registry import Store, aliases, open_store
from tasks import register

GENRES = ("blues", "jazz", "rock")
SEGMENTS = 2
SELECTED = "mlp"
SIDES = ("train", "train", "train", "validation", "validation", "test")  # of a genre's songs


@event.listens_for(Engine, "connect")
def do_not_wait_for_the_disk(connection: Any, _: object) -> None:
    """Commits of tests are not waited for; no test cuts the power."""
    connection.execute("PRAGMA synchronous = OFF")


@dataclass
class Project:
    """A finished pipeline at `root`."""

    root: Path
    params: Params

    def run_code(self, code: str) -> None:
        """Run Python code in a process of its own, however that ends."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, "-c", code]
        subprocess.run(command, cwd=self.root, env=environment, check=False)

    def retrain(
        self, *, confused: Iterable[str] = (), seed: int = 0, protocol: str = "song"
    ) -> None:
        """Replace the model and its figures."""
        genres = list(Mlp.load(self.root / "models/mlp").classes)
        write_model(self.root, genres, confused=confused, seed=seed)
        write_reports(self.root, protocol)

    @property
    def store(self) -> Store:
        """Its MLflow store, opened."""
        return open_store(self.params.tracking, self.root)

    @property
    def receipt(self) -> dict[str, Any]:
        """What the step left."""
        content: dict[str, Any] = json.loads((self.root / "mlruns/registered.json").read_text())
        return content

    @property
    def aliases(self) -> dict[str, str]:
        """Alias to version, as MLflow holds them."""
        return aliases.read_aliases(self.store, self.params.register_.name)

    def songs(self, subset: str) -> list[str]:
        """The `track_id` of the songs of a subset, sorted."""
        split = pd.read_parquet(self.root / "data/split.parquet")
        return sorted(split.loc[split["subset"] == subset, "track_id"])


def write_clips(project: Project) -> None:
    """Write the clips of the validation songs."""
    for number, track in enumerate(project.songs("validation")):
        write(project.root / f"data/clips/{track}.flac", tone(30.0, seed=number))


def track_id(genre: str, number: int) -> str:
    return sha256(f"{genre} {number}".encode()).hexdigest()[:16]


def make_project(
    root: Path,
    *,
    genres: Sequence[str] = GENRES,
    confused: Iterable[str] = (),
    protocol: str = "song",
    seed: int = 0,
) -> Project:
    """Write a finished pipeline below `root`; the model takes the genres in `confused` for others.

    Its MLflow store is an empty one.
    """
    root.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).parent.parent / "params.yaml", root / "params.yaml")
    (root / "mlruns").mkdir(exist_ok=True)
    shutil.copyfile(migrated_store(), root / "mlruns/mlflow.db")
    write_songs(root, genres)
    write_model(root, genres, confused=confused, seed=seed)
    write_reports(root, protocol)
    return Project(root, load_params(root / "params.yaml"))


def write_songs(root: Path, genres: Sequence[str], sides: Sequence[str] = SIDES) -> None:
    """Write catalogue, split and segment features."""
    random = np.random.default_rng(0)
    songs, subsets, rows = [], [], []
    for index, genre in enumerate(genres):
        for number, subset in enumerate(sides):
            name = track_id(genre, number)
            songs.append(
                {
                    "track_id": name,
                    "path": f"{genre}/{number}.wav",
                    "genre": genre,
                    "artist": f"{genre} band {number % 3}",
                    "title": None,
                    "licence": "CC BY 4.0" if number % 2 else None,
                    "source": "made in the test",
                    "sha256": sha256(name.encode()).hexdigest(),
                    "audio_sha256": sha256(f"audio {name}".encode()).hexdigest(),
                    "seconds": 31.0,
                    "status": "ok",
                    "reason": None,
                }
            )
            subsets.append({"track_id": name, "group": name, "subset": subset})
            for segment in range(SEGMENTS):
                values = random.normal(0.5, 0.05, len(NAMES))
                values[index] += 1
                row = {"track_id": name, "genre": genre, "segment": segment}
                rows.append(
                    row | {"start_s": 3.0 * segment} | dict(zip(NAMES, values, strict=True))
                )
    broken = dict.fromkeys(songs[0]) | {
        "track_id": "broken",
        "path": "rock/broken.mp3",
        "genre": genres[0],
        "sha256": "0" * 64,
        "status": "set_aside",
        "reason": "is 1.20 s long, shorter than ingest.min_seconds (3 s)",
    }
    (root / "data/features/report/3s").mkdir(parents=True, exist_ok=True)
    write_json(root / "data/families.json", {"families": ["report"]})
    pd.DataFrame([*songs, broken]).to_parquet(root / "data/catalogue.parquet", index=False)
    split = pd.DataFrame(subsets).sort_values("track_id")
    split.insert(1, "segment", pd.array([None] * len(split), dtype="Int64"))
    split.to_parquet(root / "data/split.parquet", index=False)
    table = pd.DataFrame(rows).sort_values(["track_id", "segment"])
    table.to_parquet(root / "data/features/report/3s/part-0.parquet", index=False)


def write_model(
    root: Path,
    genres: Sequence[str],
    *,
    name: str = "mlp",
    confused: Iterable[str] = (),
    seed: int = 0,
) -> None:
    """Write a network made by hand: it picks each genre's feature, those of `confused` swapped."""
    settings = load_params(root / "params.yaml").train.mlp
    model = Mlp(MlpParams(**settings.model_dump() | {"hidden": [len(genres)]}))
    model.classes, model.features, model.seed = tuple(genres), NAMES, seed
    model.mean, model.scale = np.full(len(NAMES), 0.5), np.ones(len(NAMES))
    first = np.eye(len(genres), len(NAMES), dtype=np.float32)
    last = 4 * np.eye(len(genres), dtype=np.float32)
    places = np.array([genres.index(genre) for genre in confused], dtype=int)
    last[places] = last[np.roll(places, 1)]
    model.weights = [first, last]
    model.biases = [np.zeros(len(genres), np.float32), np.zeros(len(genres), np.float32)]
    epochs = [Epoch(e, s, 1 / e, 0.5) for e in (1, 2) for s in ("train", "validation")]
    model.history = History(tuple(epochs), best_epoch=2)
    model.save(root / "models" / name)
    if name == SELECTED:
        preprocessing = {"features": {"n_fft": 2048, "hop_length": 512}}
        Ensemble(name, [model], protocol="song", preprocessing=preprocessing).save(
            root / "classifier"
        )


def write_reports(root: Path, protocol: str = "song", models: Sequence[str] = ("mlp",)) -> None:
    """Write predictions, metrics and a figure; the first of `models` is selected."""
    rows = pd.read_parquet(root / "data/features/report/3s")
    split = pd.read_parquet(root / "data/split.parquet")
    rows = rows.merge(split[["track_id", "group", "subset"]], on="track_id")
    tables = {}
    for name in models:
        model = Mlp.load(root / "models" / name)
        proba = model.predict_proba(rows[list(NAMES)].to_numpy())
        tables[name] = evaluation.make(rows, proba, model.classes, name)
    results = {name: evaluation.evaluate(t, samples=100, seed=0) for name, t in tables.items()}
    report = {"protocol": protocol, "artist_leak": [], "models": results, "selected": models[0]}
    (root / "reports/figures").mkdir(parents=True, exist_ok=True)
    write_parquet(root / "reports/predictions.parquet", pd.concat(tables.values()))
    write_json(root / "reports/metrics.json", report)
    write_json(root / "reports/selection.json", {"selected": models[0], "models": {}})
    (root / "reports/figures/confusion.png").write_bytes(b"\x89PNG\r\n\x1a\n")


@cache
def registered(*confused: tuple[str, ...]) -> Project:
    """A project that registered a model for each of these confusions, made once a session.

    Read it only; `restored` lends it to a test that changes it.
    """
    folder = tempfile.mkdtemp(prefix="genre-registered-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    project = make_project(Path(folder) / "project")
    with mock.patch.dict(os.environ):
        for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
            os.environ.pop(variable, None)
        for genres in confused:
            project.retrain(confused=genres)
            register.run(project.params, project.root)
    return project


@contextlib.contextmanager
def restored(project: Project) -> Iterator[Project]:
    """Lend a project to a test; afterwards its files and its store are as they were."""
    root, database = project.root, "mlflow.db"
    with tempfile.TemporaryDirectory() as name:
        kept = shutil.copytree(root, Path(name) / "kept")
        try:
            yield Project(root, project.params)
        finally:
            for path in root.rglob("*"):
                if path.name != database and not path.is_dir():
                    path.unlink()
            shutil.copytree(kept, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(database))
            with (  # into the same file, which MLflow holds open
                contextlib.closing(sqlite3.connect(kept / "mlruns" / database)) as old,
                contextlib.closing(sqlite3.connect(root / "mlruns" / database)) as new,
            ):
                new.execute("PRAGMA synchronous = OFF")
                old.backup(new)


@cache
def migrated_store() -> Path:
    """An empty MLflow database, migrated once a session; copy it, for migrating takes seconds."""
    folder = tempfile.mkdtemp(prefix="genre-store-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tracking = TrackingParams(uri=f"sqlite:///{folder}/mlflow.db", experiment="unused")
    open_store(tracking, Path(folder))
    return Path(folder) / "mlflow.db"
