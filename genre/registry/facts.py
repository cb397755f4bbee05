"""Read and hash the files of a finished pipeline run; without MLflow.

Hashes are SHA-256, in hex.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.core.errors import InputError
from genre.core.files import sha256_of
from genre.core.params import Params
from genre.models.ensemble import Description, read_description

if TYPE_CHECKING:
    import pandas as pd

    from genre.models.base import Input
    from genre.models.data import Data

HISTORY = "history.csv"  # the curves of a training, which predictions do not depend on
WRITTEN_BY_RUNS = (":(exclude)dvc.lock", ":(exclude)params.yaml")  # both are logged with the run
GIT_SECONDS = 30  # a slower repository is left out of the record


@dataclass(frozen=True)
class Pipeline:
    """The files of a finished run in the project at `root`."""

    root: Path
    params: Params
    catalogue: Path
    split: Path
    models: Path
    classifier: Path
    clips: Path
    selection: Path
    metrics: Path
    predictions: Path
    figures: Path
    data: Callable[[Input], Data]
    experiment: str | None = None

    @cached_property
    def report(self) -> dict[str, Any]:
        """`reports/metrics.json`; raises `InputError` if it names no selected model."""
        report: dict[str, Any] = json.loads(read(self.metrics))
        if report.get("selected") not in report.get("models", {}):
            raise InputError(f"{self.metrics}: no selected model; run the step evaluate again")
        return report

    @property
    def selected(self) -> str:
        """The name of the model that the step select chose."""
        return str(self.report["selected"])

    @property
    def protocol(self) -> str:
        """The split protocol of the scores."""
        return str(self.report["protocol"])

    @cached_property
    def described(self) -> Description:
        """The content of `classifier.json`: classes, members, preprocessing."""
        return read_description(self.classifier)

    @cached_property
    def songs(self) -> pd.DataFrame:
        """The catalogue: usable songs and those set aside."""
        return _table(self.catalogue)

    @cached_property
    def subsets(self) -> pd.DataFrame:
        """`data/split.parquet`."""
        return _table(self.split)

    @cached_property
    def predicted(self) -> pd.DataFrame:
        """`reports/predictions.parquet`, rows of the selected model."""
        return _table(self.predictions, filters=[("model", "==", self.selected)])

    def headline(self) -> tuple[str, dict[str, Any]]:
        """The subset and song-level figures of the selected model: of test, else of validation.

        Raises `InputError` if `metrics.json` has neither.
        """
        results = self.report["models"][self.selected]
        for subset in ("test", "validation"):
            if values := results.get(subset, {}).get("song"):
                return subset, values
        raise InputError(f"{self.metrics}: no song-level figures; run the step evaluate again")

    def settings(self, name: str) -> dict[str, Any]:
        """The settings of the trained model `name`; for a vote, the weights of its members."""
        path = self.models / name / "model.json"
        if path.is_file():
            content: dict[str, Any] = json.loads(path.read_bytes())["settings"]
            return content
        members = json.loads(read(self.selection))["models"][name]["members"]
        return {
            part["name"]: {key: part[key] for key in ("weight", "temperature")} for part in members
        }


def read(path: Path) -> bytes:
    """The content of a file that a step wrote; raises `InputError` if it is missing."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; type make run")
    return path.read_bytes()


def folder_sha256(folder: Path) -> str:
    """Hash the names and contents of a model's files, without `history.csv`.

    Raises `InputError` if there is no model.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != HISTORY)
    if not files:
        raise InputError(f"{folder}: no trained model; type make run")
    digest = hashlib.sha256()
    for path in files:
        content = sha256_of(path)
        digest.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()


def data_sha256(songs: pd.DataFrame) -> str:
    """Hash the content and genre of each usable song."""
    used = songs[songs["status"] == "ok"]
    pairs = zip(used["sha256"], used["genre"], strict=True)
    lines = sorted(f"{sha256} {genre}" for sha256, genre in pairs)
    return sha256_of("\n".join(lines).encode())


def summarise(songs: pd.DataFrame) -> dict[str, Any]:
    """Count the catalogue: songs, hours, genres, artists, licences, sources, set aside."""
    used = songs[songs["status"] == "ok"]
    return {
        "songs": len(used),
        "hours": round(float(used["seconds"].sum()) / 3600, 3),
        "genres": _counts(used["genre"]),
        "artists": int(used["artist"].nunique()),
        "licences": _counts(used["licence"]),
        "sources": _counts(used["source"]),
        "set_aside": len(songs) - len(used),
        "data_sha256": data_sha256(songs),
    }


def training_songs(songs: pd.DataFrame, subsets: pd.DataFrame) -> dict[str, Any]:
    """The songs that the models of this run were trained on.

    `track_id` and `audio_sha256` are sorted lists; `genres` maps each `track_id` to its genre.
    """
    trained = set(subsets.loc[subsets["subset"] == "train", "track_id"])
    rows = songs[songs["track_id"].isin(trained)].sort_values("track_id")
    return {
        "track_id": sorted(trained),
        "audio_sha256": sorted(set(rows["audio_sha256"].dropna())),
        "genres": dict(zip(rows["track_id"], rows["genre"], strict=True)),
    }


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as `section.key` → text; values that are not text as JSON."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value)
    return flat


def git_state(root: Path) -> dict[str, str]:
    """`git_commit` and `git_dirty` of the checkout at `root`; empty if it is not a repository.

    `dvc.lock` and `params.yaml` do not make it dirty: runs and experiments change them, and both
    are logged with the run.
    """

    def git(*arguments: str) -> str:
        command, quiet = ["git", "-C", str(root), *arguments], subprocess.DEVNULL
        output = subprocess.check_output(command, stderr=quiet, text=True, timeout=GIT_SECONDS)
        return output.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *WRITTEN_BY_RUNS)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git_commit": commit, "git_dirty": "true" if changed else "false"}


def _counts(column: pd.Series) -> dict[str, int]:
    counts = column.fillna("unknown").value_counts()
    return {str(key): int(counts[key]) for key in sorted(counts.index)}


def _table(path: Path, **options: Any) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(read(path)), **options)
    if table.empty:
        raise InputError(f"{path}: an empty table; type make run")
    return table
