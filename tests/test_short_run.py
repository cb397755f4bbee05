"""The whole job once with a few short songs, on the Python that runs this test.

`make test-pythons` runs it on the newest other Python that the machine has.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from params_file import change_params
from PIL import Image
from songs import RATE, tone, write, write_collection, write_m4a
from test_whole_run import clone, receipt, run

from genre.features.report import NAMES

pytestmark = pytest.mark.timeout(1800)

SETTINGS = {  # little to wait for
    "features.families": ["extended"],
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
    """A clone in which the whole job was done."""
    root = clone(project, tmp_path_factory.mktemp("short") / "project")
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
    assert classifier["front"]["features"]["families"] == ["extended"]
    assert classifier["synthetic"] is False


def test_the_registered_model_classifies_a_folder_with_an_m4a_and_a_picture(
    root: Path, tmp_path: Path
) -> None:
    song = write_m4a(tmp_path / "song.m4a", tone(6, seed=99)[:, 0], rate=RATE)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cover.jpg")

    printed = run(root, "genre", "classify", "--json", str(tmp_path))

    rows = json.loads(printed[printed.index("[\n") : printed.rindex("]") + 1])
    assert [row["path"] for row in rows] == [str(song)]
    assert rows[0]["genre"] in ("jazz", "rock")
    assert rows[0]["model_version"] == "1"
    assert "Traceback" not in printed
