"""The step split, as DVC runs it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from test_splits import artists, catalogue

from genre.errors import InputError
from genre.files import write_parquet
from genre.params import Params, load_params
from tasks import paths, split


@pytest.fixture
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


def test_the_step_splits_the_catalogue_and_says_so(
    params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = catalogue(*artists("jazz", *[1] * 20), *artists("pop", 10, 10))
    write_parquet(tmp_path / paths.CATALOGUE, table)
    assert split.run(params, tmp_path) == "28 train, 6 validation, 6 test songs (protocol song)"
    assert "warning: split by song" in capsys.readouterr().out
    written = pd.read_parquet(tmp_path / paths.SPLIT)
    assert written.columns.tolist() == ["track_id", "segment", "group", "subset"]
    assert written.attrs["artist_leak"] == ["pop"]


def test_the_step_reads_its_last_split_and_keeps_it(params: Params, tmp_path: Path) -> None:
    table = catalogue(*artists("jazz", *[1] * 40))
    write_parquet(tmp_path / paths.CATALOGUE, table[:20])
    split.run(params, tmp_path)
    first = pd.read_parquet(tmp_path / paths.SPLIT)
    write_parquet(tmp_path / paths.CATALOGUE, table)
    split.run(params, tmp_path)
    grown = (tmp_path / paths.SPLIT).read_bytes()
    assert pd.read_parquet(tmp_path / paths.SPLIT)[:20].equals(first)
    split.run(params, tmp_path)
    assert (tmp_path / paths.SPLIT).read_bytes() == grown


def test_a_missing_catalogue_and_a_damaged_split_are_named(params: Params, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the step ingest first"):
        split.run(params, tmp_path)
    write_parquet(tmp_path / paths.CATALOGUE, catalogue(*artists("jazz", *[1] * 20)))
    (tmp_path / paths.SPLIT).write_bytes(b"not a table")
    with pytest.raises(InputError, match=r"split\.parquet: cannot be read .* delete it"):
        split.run(params, tmp_path)
