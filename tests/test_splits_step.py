"""The step split, as DVC runs it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from songs import write_no_duplicates
from test_splits import artists, catalogue

from genre import splits
from genre.core.errors import InputError
from genre.core.files import write_parquet
from genre.core.params import Params, load_params
from tasks import split
from tasks.io import paths


@pytest.fixture
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


def test_the_step_splits_the_catalogue_and_says_so(
    params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = catalogue(*artists("jazz", *[1] * 20), *artists("pop", 10, 10))
    write_parquet(tmp_path / paths.CATALOGUE, table)
    write_no_duplicates(tmp_path)
    assert split.run(params, tmp_path) == "28 train, 6 validation, 6 test songs (protocol song)"
    assert "warning: split by song" in capsys.readouterr().out
    written = pd.read_parquet(tmp_path / paths.SPLIT)
    assert written.columns.tolist() == ["track_id", "segment", "group", "subset"]
    assert written.attrs["artist_leak"] == ["pop"]


def test_the_step_reads_its_last_split_and_keeps_it(params: Params, tmp_path: Path) -> None:
    table = catalogue(*artists("jazz", *[1] * 40))
    write_parquet(tmp_path / paths.CATALOGUE, table[:20])
    write_no_duplicates(tmp_path)
    split.run(params, tmp_path)
    first = pd.read_parquet(tmp_path / paths.SPLIT)
    write_parquet(tmp_path / paths.CATALOGUE, table)
    split.run(params, tmp_path)
    grown = (tmp_path / paths.SPLIT).read_bytes()
    assert pd.read_parquet(tmp_path / paths.SPLIT)[:20].equals(first)
    split.run(params, tmp_path)
    assert (tmp_path / paths.SPLIT).read_bytes() == grown


def test_near_duplicates_of_two_genres_stay_in_one_subset(params: Params, tmp_path: Path) -> None:
    table = catalogue(*artists("jazz", *[1] * 20), *artists("pop", *[1] * 20))
    jazz, pop = (table.loc[table["genre"] == genre, "track_id"] for genre in ("jazz", "pop"))
    copies = pd.DataFrame({"track_id": [*jazz, *pop], "duplicate_group": [*jazz, *jazz]})
    write_parquet(tmp_path / paths.CATALOGUE, table)
    write_parquet(tmp_path / paths.DUPLICATES, copies)

    split.run(params, tmp_path)

    written = pd.read_parquet(tmp_path / paths.SPLIT).merge(copies, on="track_id")
    assert (written.groupby("duplicate_group")["subset"].nunique() == 1).all()
    assert (written.groupby("duplicate_group")["group"].nunique() == 1).all()


def test_duplicate_groups_of_the_manifest_are_merged_with_those_that_were_found() -> None:
    manifest = [None, "take 1", "take 1", None, None]
    table = pd.DataFrame({"track_id": list("abcde"), "duplicate_group": manifest})
    found = pd.DataFrame({"track_id": ["a", "b", "gone"], "duplicate_group": ["a", "a", "a"]})

    groups = splits.with_copies(table, found)["duplicate_group"]

    assert groups[:3].nunique() == 1
    assert groups[3:].isna().all()


def test_missing_inputs_and_a_damaged_split_are_named(params: Params, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the step ingest first"):
        split.run(params, tmp_path)
    write_parquet(tmp_path / paths.CATALOGUE, catalogue(*artists("jazz", *[1] * 20)))
    with pytest.raises(InputError, match="run the step ingest first"):
        split.run(params, tmp_path)
    write_no_duplicates(tmp_path)
    (tmp_path / paths.SPLIT).write_bytes(b"not a table")
    with pytest.raises(InputError, match=r"split\.parquet: cannot be read .* delete it"):
        split.run(params, tmp_path)
