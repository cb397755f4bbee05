"""Near-duplicates in the step ingest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from songs import RATE, tone, write, write_collection, write_m4a, write_no_duplicates

from genre import duplicates
from genre.core.params import Params, load_params
from tasks import ingest, split
from tasks.io import paths
from tasks.io.fingerprints import find_duplicates
from tasks.io.tables import read_songs


@pytest.fixture
def params(project: Path) -> Params:
    params = load_params(project / "params.yaml")
    compute = params.compute.model_copy(update={"workers": 1})
    return params.model_copy(update={"compute": compute})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose collection holds a song of each genre twice, and one under both genres."""
    raw = write_collection(tmp_path / "data/raw", seconds=9)
    jazz, both = tone(12, seed=500), tone(12, seed=501)
    write(raw / "jazz/song.wav", jazz)
    write_m4a(raw / "jazz/song again.m4a", 0.5 * jazz[RATE:, 0])
    write(raw / "jazz/mine.flac", both)
    write(raw / "rock/yours.mp3", both[: 10 * RATE])
    return tmp_path


def table_of(root: Path) -> pd.DataFrame:
    catalogue = pd.read_parquet(root / paths.CATALOGUE).set_index("track_id")
    table = pd.read_parquet(root / paths.DUPLICATES)
    return table.assign(
        path=catalogue["path"].reindex(table["track_id"]).to_numpy(),
        copy=catalogue["path"].reindex(table["other"]).to_numpy(),
    ).set_index("path")


def test_copies_are_listed_with_their_groups_and_nothing_else_is(
    root: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = ingest.run(params, root)

    table = table_of(root)
    printed = capsys.readouterr().out
    assert "; 4 near-duplicates in 2 groups" in summary
    assert table["copy"].to_dict() == {
        "jazz/song.wav": "jazz/song again.m4a",
        "jazz/song again.m4a": "jazz/song.wav",
        "jazz/mine.flac": "rock/yours.mp3",
        "rock/yours.mp3": "jazz/mine.flac",
    }
    assert table.groupby("duplicate_group").size().tolist() == [2, 2]
    assert table.loc["jazz/song again.m4a", "offset_s"] == pytest.approx(1, abs=0.1)
    assert table["track_id"].is_monotonic_increasing
    assert "in jazz and rock: a label may be wrong, or one may be a remix" in printed
    assert "jazz/song again.m4a as in jazz/song.wav" in printed
    assert printed.count(" as in ") == 2  # each pair once


@pytest.mark.slow
def test_the_split_keeps_copies_of_two_genres_together(root: Path, params: Params) -> None:
    ingest.run(params, root)
    split.run(params, root)

    groups = pd.read_parquet(root / paths.SPLIT).set_index("track_id")
    table = table_of(root)
    for mine, yours in zip(table["track_id"], table["other"], strict=True):
        assert groups.loc[mine, "group"] == groups.loc[yours, "group"]
        assert groups.loc[mine, "subset"] == groups.loc[yours, "subset"]


@pytest.mark.slow
def test_no_copies_make_an_empty_table(
    tmp_path: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    write_collection(tmp_path / "data/raw")
    summary = ingest.run(params, tmp_path)

    written = pd.read_parquet(tmp_path / paths.DUPLICATES)
    write_no_duplicates(tmp_path)
    assert "near-duplicates" not in summary
    assert "same recording" not in capsys.readouterr().out
    assert written.columns.tolist() == list(duplicates.COLUMNS)
    assert written.dtypes.equals(pd.read_parquet(tmp_path / paths.DUPLICATES).dtypes)


@pytest.mark.slow
def test_the_table_has_the_same_bytes_with_any_workers_and_cache(
    root: Path, params: Params
) -> None:
    ingest.run(params, root)
    first = (root / paths.DUPLICATES).read_bytes()

    shutil.rmtree(root / ".cache")
    two = params.model_copy(update={"compute": params.compute.model_copy(update={"workers": 2})})
    ingest.run(two, root)
    assert (root / paths.DUPLICATES).read_bytes() == first


@pytest.mark.slow
def test_a_song_that_has_changed_is_reported_and_left_out(
    root: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest.run(params, root)
    shutil.rmtree(root / ".cache")
    write(root / "data/raw/rock/yours.mp3", tone(9, seed=900))
    (root / "data/raw/jazz/song.wav").unlink()
    capsys.readouterr()

    found = find_duplicates(read_songs(root), params, root)

    printed = capsys.readouterr().out
    assert found.empty
    assert "set aside: data/raw/rock/yours.mp3 has changed" in printed
    assert "set aside: data/raw/jazz/song.wav cannot be opened" in printed


@pytest.mark.slow
def test_songs_that_were_set_aside_are_not_compared(root: Path, params: Params) -> None:
    raw = root / "data/raw"
    shutil.copy(raw / "jazz/jazz0.wav", raw / "jazz/the very same.wav")
    assert "1 set aside" in (summary := ingest.run(params, root))
    assert "; 4 near-duplicates in 2 groups" in summary
