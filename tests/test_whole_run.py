"""The whole pipeline in a clone: twice, after a change, and as an experiment.

That it gives the same bytes from nothing is shown by `test_killed_runs`, in two lanes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from params_file import change_params

from genre.collection import demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@localhost")
GENRES = ("country", "pop", "rock")  # similar enough to be confused
PRODUCTS = (
    "data/catalogue.parquet",
    "data/features/report/30s/part-0.parquet",
    "data/features/report/3s/part-0.parquet",
    "data/split.parquet",
    "models/mlp/weights.safetensors",
    "models/mlp/held_out.parquet",
    "models/svm/weights.safetensors",
    "classifier/classifier.json",
    "reports/selection.json",
    "reports/review.csv",
    "reports/metrics.json",
    "reports/predictions.parquet",
    "reports/figures/confusion.png",
)
TRAINED = [f"train@{name}" for name in ("mlp", "lda", "logistic", "svm", "report_mlp")]
STEPS = [
    *("ingest", "trim", "spectrograms", "features", "split"),
    *TRAINED,
    *("select", "evaluate", "review", "register"),
]


def clone(project: Path, target: Path) -> Path:
    """A copy of the working tree, with compiled kernels and without data."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=project, text=True
    )
    own = {"data/raw.dvc", "dvc.lock"}  # of the checkout's own collection
    for name in listed.splitlines():
        if (project / name).is_file() and name not in own:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, target / name)
    unfinished = shutil.ignore_patterns("*.tmp.*", "*.pyc.*")  # of another Python's tests
    for kernels in (project / "genre/features").glob("*/__pycache__"):  # spares compiling them
        shutil.copytree(kernels, target / kernels.relative_to(project), ignore=unfinished)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "the project"]):
        subprocess.run([*GIT, *command], cwd=target, check=True)
    return target


def run(root: Path, *command: str, code: int = 0) -> str:
    """Run a program of this environment in the clone; return its output."""
    binaries = Path(sys.executable).parent
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("DVC_EXP")},
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "DVC_SITE_CACHE_DIR": str(root.parent / "site-cache"),
    }
    program = [sys.executable, *command[1:]] if command[0] == "python" else [*command]
    done = subprocess.run(
        program,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def digests(root: Path) -> dict[str, str]:
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in PRODUCTS}


def receipt(root: Path) -> dict[str, object]:
    return json.loads((root / "mlruns/registered.json").read_text())


def steps_run(printed: str) -> list[str]:
    return [step for step in STEPS if f"Running stage '{step}'" in printed]


def quick(root: Path) -> Path:
    """Train the default models with fewer folds and epochs; return `root`."""
    params = root / "params.yaml"
    text = params.read_text()
    for before, after in (("folds: 5 ", "folds: 2 "), ("max_epochs: 100", "max_epochs: 8")):
        assert before in text
        text = text.replace(before, after)
    params.write_text(text)
    subprocess.run([*GIT, "commit", "-qam", "fewer folds"], cwd=root, check=True)
    return root


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    demo.write_songs(folder, songs_per_genre=6, genres=GENRES)
    return folder


@pytest.fixture(scope="module")
def root(project: Path, tmp_path_factory: pytest.TempPathFactory, songs: Path) -> Path:
    """A clone after one whole run, with its summary in `first.txt`."""
    root = quick(clone(project, tmp_path_factory.mktemp("clone") / "project"))
    (root / "first.txt").write_text(run(root, "python", "-m", "runner.run", str(songs)))
    return root


def test_songs_in_folders_become_a_registered_model_and_a_summary(root: Path) -> None:
    summary = (root / "first.txt").read_text()

    metrics = json.loads((root / "reports/metrics.json").read_text())
    song = metrics["models"][metrics["selected"]]["test"]["song"]
    assert all(step in summary for step in STEPS)
    assert "18 synthetic demo songs in 3 genres" in summary
    assert f"{100 * song['accuracy']:.1f} % of {song['n']} songs" in summary
    assert "music-genre version 1, champion" in summary
    assert receipt(root)["aliases"] == ["champion"]
    assert metrics["protocol"] == "song"
    assert {"mlp", "lda", "logistic", "svm"} <= set(metrics["models"])
    assert "report_mlp" not in metrics["models"]  # of demo songs, mlp is the same
    assert metrics["baseline"] == "mlp"
    assert "mlp is the baseline" in summary
    assert song["ci95"][0] <= song["accuracy"] <= song["ci95"][1]
    catalogue = pd.read_parquet(root / "data/catalogue.parquet")
    assert len(list((root / "data/clips").glob("*.flac"))) == len(catalogue) == 18
    assert len(pd.read_parquet(root / "data/features/report/3s")) == 180


def test_no_song_and_no_artist_is_in_two_subsets(root: Path) -> None:
    split = pd.read_parquet(root / "data/split.parquet")
    catalogue = pd.read_parquet(root / "data/catalogue.parquet")

    subsets = split.merge(catalogue, on="track_id").groupby("artist")["subset"].nunique()

    assert (subsets == 1).all()
    assert set(split["subset"]) == {"train", "validation", "test"}


def test_git_shows_only_what_belongs_to_the_collection(root: Path) -> None:
    changed = run(root, "git", "status", "--short", "--untracked-files=all").split("\n")

    assert sorted(line for line in changed if "first.txt" not in line) == [
        "",
        "?? data/raw.dvc",
        "?? dvc.lock",
    ]


def test_a_second_run_without_changes_runs_only_the_step_register(root: Path) -> None:
    before = digests(root)

    summary = run(root, "python", "-m", "runner.run")

    assert summary.count("up to date") == len(STEPS) - 1
    assert "unchanged: music-genre version 1: champion" in summary
    assert steps_run(run(root, "dvc", "repro")) == ["register"]
    assert digests(root) == before


def test_dvc_shows_the_metrics_and_draws_the_plots(root: Path) -> None:
    metrics = json.loads(run(root, "dvc", "metrics", "show", "--json"))
    page = run(root, "dvc", "plots", "show", "--out", "plots")

    (shown,) = metrics[""]["data"].values()
    assert shown["data"]["songs"] > 0
    assert 0 <= shown["data"]["accuracy_low"] <= shown["data"]["accuracy"]
    html = (root / "plots/index.html").read_text()
    assert "index.html" in page
    assert "confusion" in html
    assert "curves_mlp" in html
    shutil.rmtree(root / "plots")


def test_one_changed_number_runs_only_what_depends_on_it(root: Path) -> None:
    params = root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("dynamic_range_db: 80.0", "dynamic_range_db: 60.0"))
    try:
        first, *others = steps_run(run(root, "dvc", "repro", "--dry"))
        assert first == "spectrograms"
        assert not {"ingest", "features", "split", *TRAINED} & set(others)
        params.write_text(before)
        change_params(root, {"evaluate.bootstrap_samples": 99})
        assert steps_run(run(root, "dvc", "repro", "--dry"))[0] == "select"
        params.write_text(before.replace("max_bit_error: 0.3", "max_bit_error: 0.29"))
        # The duplicates are unchanged, and so the split; register always runs.
        assert steps_run(run(root, "dvc", "repro")) == ["ingest", "evaluate", "register"]
    finally:
        params.write_text(before)
        run(root, "dvc", "repro")
    # The model is the same, so there is no second version.
    assert (receipt(root)["version"], receipt(root)["aliases"]) == ("1", ["champion"])


def test_a_typo_in_the_parameters_is_reported_before_any_step(root: Path) -> None:
    params = root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("min_seconds:", "min_second:"))
    try:
        printed = run(root, "python", "-m", "runner.run", code=2)
    finally:
        params.write_text(before)

    assert "unknown key ingest.min_second" in printed
    assert "did you mean min_seconds" in printed
    assert "ingest …" not in printed


def test_an_experiment_trains_again_and_moves_no_alias(root: Path) -> None:
    champion = receipt(root)
    run(root, "git", "add", "data/raw.dvc", "dvc.lock")
    run(root, *GIT, "commit", "-qm", "the collection")

    printed = run(root, "dvc", "exp", "run", "-S", "train.mlp.learning_rate=0.0005")

    assert steps_run(printed)[:2] == ["train@mlp", "select"]
    assert steps_run(printed)[-1] == "register"
    assert receipt(root)["version"] is None
    assert "experiment" in str(receipt(root)["reason"])
    run(root, "git", "checkout", "--", ".")
    run(root, "dvc", "repro")
    again = receipt(root)
    assert (again["version"], again["aliases"]) == (champion["version"], ["champion"])
    diff = json.loads(run(root, "dvc", "exp", "show", "--json"))
    assert len(diff[1]["experiments"] or []) == 1


def test_without_its_store_the_model_is_registered_again(root: Path) -> None:
    before = digests(root)
    shutil.rmtree(root / "mlruns")

    printed = run(root, "dvc", "repro")

    assert steps_run(printed) == ["register"]
    assert receipt(root)["version"] == "1"
    assert receipt(root)["aliases"] == ["champion"]
    assert digests(root) == before


def test_the_registered_versions_are_listed(root: Path) -> None:
    accuracy = json.loads((root / "reports/metrics.json").read_text())
    song = accuracy["models"][accuracy["selected"]]["test"]["song"]

    printed = run(root, "python", "-m", "genre.cli", "models")

    assert "champion" in printed
    assert f"{100 * song['accuracy']:.1f} %" in printed
