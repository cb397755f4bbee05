"""Drift: what the registered model keeps and hears, and the command `genre drift`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drifting import SIDES, make, muffled, reference_folder, song, write_new
from registry_project import GENRES, Project
from songs import RATE, write

from genre.classifier import Classifier, ClipWanted
from genre.cli import main
from genre.drift.reference import load
from genre.features import NAMES
from tasks import register

pytestmark = pytest.mark.slow

SONGS = 24


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Project:
    """A project that has registered its model."""
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        os.environ.pop(variable, None)
    made = make(tmp_path_factory.mktemp("drift") / "project", project)
    register.run(made.params, made.root)
    return made


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs like those of training."""
    folder = tmp_path_factory.mktemp("alike")
    write_new(folder, SONGS)
    return folder


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the same songs, muffled."""
    folder = tmp_path_factory.mktemp("muffled")
    write_new(folder, SONGS, change=muffled)
    return folder


def test_the_registered_model_keeps_its_training_songs_column_by_column(champion) -> None:
    found = load(reference_folder(champion))

    features = pd.read_parquet(champion.root / "data/features/3s").set_index("track_id")
    songs = features.loc[champion.songs("train"), list(NAMES)].groupby(level=0).mean()
    assert list(found.columns) == list(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found.columns[name], np.sort(songs[name]))
    assert found.genres == dict.fromkeys(GENRES, SIDES.count("train"))
    assert len(found.confidence) == len(GENRES) * (len(SIDES) - SIDES.count("train"))
    assert found.position == "middle"


def test_nothing_in_it_is_pickled(champion) -> None:
    kept = {path.name for path in reference_folder(champion).iterdir()}

    assert kept == {"reference.json", "reference.safetensors"}


def test_a_long_song_is_compared_by_the_part_that_training_looks_at(champion, tmp_path) -> None:
    parts = [song(number) for number in range(12)]
    quiet = [0.01 * part for part in parts]
    loud_within = [*quiet[:10], *parts[:10], *quiet[:10]]
    long = write(tmp_path / "long.wav", np.concatenate(loud_within)[:, np.newaxis], rate=RATE)
    alone = write(tmp_path / "alone.wav", np.concatenate(parts[:10])[:, np.newaxis], rate=RATE)
    classifier = Classifier.from_folder(champion.root / "classifier")
    wanted = ClipWanted("middle", NAMES)

    heard = [classifier.classify(path, clip=wanted).clip for path in (long, alone)]
    start = classifier.classify(long, clip=ClipWanted("start", ("rms_mean",))).clip

    assert heard[0].columns == pytest.approx(heard[1].columns, rel=1e-6)
    assert heard[0].confidence == pytest.approx(heard[1].confidence)
    assert start.columns["rms_mean"] < 0.1 * heard[0].columns["rms_mean"]
    assert classifier.classify(long).clip is None


def drift(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> tuple[int, str, str]:
    """What `genre drift` ends with, and says on stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        main(["--root", str(root), "drift", *arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_command_ends_with_3_where_songs_have_drifted(champion, alike, changed, capsys) -> None:
    code, _, said = drift(capsys, champion.root, str(alike))
    assert code == 0
    assert said.splitlines()[-1] == f"music-genre version 1: no drift in {SONGS} songs"

    code, shown, said = drift(capsys, champion.root, str(changed))

    assert code == 3
    assert "music-genre version 1: drift: " in said
    assert "drifted" in shown.splitlines()[1]


def test_the_command_names_unknown_genres_as_json(champion, alike, tmp_path, capsys) -> None:
    shutil.copytree(alike, tmp_path / "new/rock")
    write_new(tmp_path / "new/techno", 4, first=90_000)

    code, shown, _ = drift(capsys, champion.root, str(tmp_path / "new"), "--json")

    found = json.loads(shown)
    assert code == 3
    assert (found["known"], found["unknown"]) == ({"rock": SONGS}, {"techno": 4})
    assert [sign["kind"] for sign in found["signs"]] == ["genres"]
    assert found["model"] == "music-genre version 1"


def test_the_command_says_what_it_cannot_compare(champion, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()

    for folder, message in (("nowhere", "no such folder"), ("empty", "nothing to compare")):
        code, _, said = drift(capsys, champion.root, str(tmp_path / folder))
        assert code == 2
        assert message in said
