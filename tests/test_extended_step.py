"""The family extended in the step features: two datasets laid out as those of the report."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from params_file import with_families
from songs import write_collection

from genre.audio import SAMPLE_RATE, read_clip, segment
from genre.core.params import Params, load_params
from genre.features.extended import NAMES, extract
from tasks import features, ingest, trim


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    return with_families(load_params(project / "params.yaml"), "report", "extended")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """A project whose clips were extracted."""
    root = tmp_path_factory.mktemp("made")
    write_collection(root / "data/raw", songs=3)
    for step in (ingest, trim, features):
        step.run(params, root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of that project, to change."""
    return Path(shutil.copytree(made, tmp_path / "project"))


def digest(root: Path) -> list[str]:
    files = sorted((root / "data/features/extended").rglob("*"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()]


@pytest.mark.slow
def test_rows_are_those_of_the_57_with_the_extended_columns(made: Path) -> None:
    for length in ("30s", "3s"):
        ours = pd.read_parquet(made / "data/features/extended" / length)
        theirs = pd.read_parquet(made / "data/features/report" / length)
        keys = ["track_id", "genre", "segment", "start_s"]
        assert list(ours.columns) == [*keys, *NAMES]
        pd.testing.assert_frame_equal(ours[keys], theirs[keys])
        assert np.isfinite(ours[list(NAMES)].to_numpy()).all()


def test_the_rows_hold_what_extract_gives_for_the_clip_and_for_its_segments(made: Path) -> None:
    long = pd.read_parquet(made / "data/features/extended/30s").set_index("track_id")
    short = pd.read_parquet(made / "data/features/extended/3s").set_index(["track_id", "segment"])
    track_id = long.index[2]
    y = read_clip(made / f"data/clips/{track_id}.flac")

    assert long.loc[track_id, list(NAMES)].to_dict() == pytest.approx(extract(y, SAMPLE_RATE))
    assert short.loc[(track_id, 1), list(NAMES)].to_dict() == pytest.approx(
        extract(segment(y)[1], SAMPLE_RATE)
    )


@pytest.mark.slow
def test_without_changes_nothing_is_computed_and_without_cache_the_bytes_are_the_same(
    root: Path, params: Params
) -> None:
    before = digest(root)

    again = features.run(params, root)
    assert again.count("(0 computed, 6 reused)") == 2
    assert digest(root) == before

    shutil.rmtree(root / ".cache")
    afresh = features.run(params, root)
    assert afresh.count("(6 computed, 0 reused)") == 2
    assert digest(root) == before


def test_a_clip_that_cannot_be_read_is_set_aside_by_name(
    root: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = sorted((root / "data/clips").glob("*.flac"))[0]
    clip.write_bytes(clip.read_bytes()[:1000])

    summary = features.run(params, root)

    assert "extended of 5 songs (0 computed, 5 reused, 1 set aside)" in summary
    assert f"set aside: data/clips/{clip.name} " in capsys.readouterr().out
    assert clip.stem not in set(pd.read_parquet(root / "data/features/extended/3s")["track_id"])


def test_a_family_that_is_no_longer_chosen_is_removed(root: Path, params: Params) -> None:
    summary = features.run(with_families(params, "report"), root)

    assert summary == "report of 6 songs (0 computed, 6 reused); models use report"
    assert [path.name for path in (root / "data/features").iterdir()] == ["report"]
