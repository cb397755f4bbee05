"""The whole job once with a few short songs and a feature family of the test's own.

`make test-pythons` runs it on the newest other Python that the machine has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from params_file import change_params
from PIL import Image
from songs import RATE, tone, write, write_collection, write_m4a
from test_whole_run import clone, receipt, run

from genre.features.report import NAMES

pytestmark = pytest.mark.timeout(1800)

FAMILY = """
from genre.audio import SEGMENT_SAMPLES
from genre.features.families import Extractor

import numpy as np


class Level(Extractor):
    columns = ("level",)

    def segments(self, y, starts):
        return np.stack([self.whole(y[start : start + SEGMENT_SAMPLES]) for start in starts])

    def whole(self, y):
        return np.array([np.abs(y).mean()])
"""
ROW = 'Family("level", "the mean level", "genre.features.level:Level", libraries=("numpy",)),'
SETTINGS = {  # little to wait for
    "features.families": ["report", "level"],
    "train.models": ["lda", "report_mlp"],
    "train.folds": 2,
    "train.report_mlp.max_epochs": 3,
    "evaluate.bootstrap_samples": 100,
    "compute.workers": 1,
}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two genres of five songs of 6 s, in four formats."""
    folder = write_collection(tmp_path_factory.mktemp("songs"), songs=2)
    for seed, genre in enumerate(("jazz", "rock"), start=50):
        write_m4a(folder / genre / "phone.m4a", tone(6, seed=seed)[:, 0], title="By phone")
        for suffix in ("mp3", "ogg"):
            seed += 10
            write(folder / genre / f"other.{suffix}", tone(6, seed=seed))
    return folder


@pytest.fixture(scope="module")
def root(project: Path, tmp_path_factory: pytest.TempPathFactory, songs: Path) -> Path:
    """A clone after a whole run."""
    root = clone(project, tmp_path_factory.mktemp("short") / "project")
    (root / "genre/features/level.py").write_text(FAMILY)
    table = root / "genre/features/families.py"
    head, rows, rest = table.read_text().partition("    for family in (\n")
    table.write_text(f"{head}{rows}        {ROW}\n{rest}")
    change_params(root, SETTINGS)
    run(root, "python", "-m", "runner.run", str(songs))
    return root


def test_songs_in_four_formats_become_a_registered_model(root: Path) -> None:
    import pandas as pd

    catalogue = pd.read_parquet(root / "data/catalogue.parquet")

    assert list(catalogue["status"]) == ["ok"] * 10
    assert list(catalogue.loc[catalogue["path"].str.endswith(".m4a"), "title"]) == ["By phone"] * 2
    assert receipt(root)["version"] == "1"


def test_the_reports_mlp_is_evaluated_beside_the_others_and_never_selected(root: Path) -> None:
    metrics = json.loads((root / "reports/metrics.json").read_text())
    selection = json.loads((root / "reports/selection.json").read_text())
    model = json.loads((root / "models/report_mlp/model.json").read_text())
    classifier = json.loads((root / "classifier/classifier.json").read_text())

    assert metrics["baseline"] == "report_mlp"
    assert metrics["selected"] != "report_mlp"
    assert metrics["models"]["report_mlp"]["test"]["song"]["n"] > 0
    members = selection["models"].get("vote", {"members": []})["members"]
    assert "report_mlp" not in [member["name"] for member in members]
    assert tuple(model["features"]) == NAMES
    assert classifier["front"]["features"]["families"] == ["report", "level"]
    assert classifier["synthetic"] is False


def test_a_family_of_one_module_and_one_row_is_computed_trained_on_and_packaged(
    root: Path, tmp_path: Path
) -> None:
    model = json.loads((root / "models/lda/model.json").read_text())
    song = write(tmp_path / "song.wav", tone(6, seed=99))
    serve = (
        "import mlflow, pandas; "
        "model = mlflow.pyfunc.load_model('models:/music-genre@champion'); "
        f"print(model.predict(pandas.DataFrame({{'path': [{str(song)!r}]}}))['genre'][0])"
    )

    printed = subprocess.run(
        [sys.executable, "-c", serve],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlruns/mlflow.db"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert len(list((root / "data/features/level/3s").iterdir())) == 1
    assert model["features"][-1] == "level"
    assert printed.split()[-1] in ("jazz", "rock")


def test_the_registered_model_classifies_a_folder_with_an_m4a_and_a_picture(
    root: Path, tmp_path: Path
) -> None:
    song = write_m4a(tmp_path / "song.m4a", tone(6, seed=99)[:, 0], rate=RATE)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cover.jpg")

    printed = run(root, "python", "-m", "genre.cli", "classify", "--json", str(tmp_path))

    rows = json.loads(printed[printed.index("[\n") : printed.rindex("]") + 1])
    assert [row["path"] for row in rows] == [str(song)]
    assert rows[0]["genre"] in ("jazz", "rock")
    assert rows[0]["model_version"] == "1"
    assert "Traceback" not in printed
