"""A project that an older version of the software made is used on by this one.

`data/project_of_sixteen_stages.tar.xz` holds the collection, caches, models and registry of a
project of 12 songs that the last version with sixteen stages made with `SETTINGS`. The songs are
square waves, and large pictures were taken out of DVC's cache, so that the file is small.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
from params_file import change_params
from test_whole_run import clone, receipt, run

from genre.core.files import sha256_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ARCHIVE = Path(__file__).parent / "data/project_of_sixteen_stages.tar.xz"
WAS_AT = "/tmp/oldp"  # MLflow keeps absolute paths
SETTINGS = {
    "features.families": ["report"],
    "train.models": ["mlp", "lda"],
    "train.folds": 2,
    "train.mlp.hidden": [16],
    "train.mlp.max_epochs": 5,
    "evaluate.bootstrap_samples": 100,
    "spectrograms.width": 32,
    "spectrograms.height": 32,
    "spectrograms.nperseg": 256,
}


@pytest.fixture(scope="module")
def root(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of this version with the old project's files, as after `git pull`."""
    root = clone(project, tmp_path_factory.mktemp("old") / "project")
    change_params(root, SETTINGS)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root, filter="data")
    with sqlite3.connect(root / "mlruns/mlflow.db") as store:
        tables = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in store.execute(f"PRAGMA table_info({table})").fetchall():
                if kind.upper().startswith(("VARCHAR", "TEXT")):
                    change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                    store.execute(change, (WAS_AT, str(root)))
    return root


def models(root: Path) -> dict[str, str]:
    """The sha256 of each file of the trained models and of the classifier."""
    folders = [root / "models/mlp", root / "models/lda", root / "classifier"]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): sha256_of(path) for path in files}


def summary(root: Path, stage: str) -> str:
    content = json.loads((root / f".cache/steps/{stage}.json").read_text())
    return str(content["summary"])


def test_no_song_is_computed_again_and_models_and_version_are_the_same(root: Path) -> None:
    before = models(root)

    run(root, "python", "-m", "runner.run")

    assert "(0 scanned, 12 cached)" in summary(root, "ingest")
    for stage in ("trim", "spectrograms", "features", "review"):
        assert "(0 computed, 12 reused)" in summary(root, stage)
    assert models(root) == before
    assert summary(root, "register").startswith("unchanged: music-genre version 1: champion")

    # and: the old version is loaded, and is the champion that a new one is compared with
    song = root / "data/raw/jazz/0.flac"
    printed = run(root, "python", "-m", "genre.cli", "classify", "--json", str(song))
    rows = json.loads(printed[printed.index("[\n") : printed.rindex("]") + 1])
    assert rows[0]["model_version"] == "1"

    change_params(root, {"train.lda.shrinkage": 0.5})
    run(root, "python", "-m", "runner.run")

    assert receipt(root)["version"] == "2"
    assert "version 1" in receipt(root)["reason"]
