"""Models look at the columns of the chosen families, joined segment by segment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from params_file import with_families
from registry_project import Project, make_project

from genre.core.errors import InputError, ParameterError
from genre.core.params import Params
from genre.features.extended import NAMES as EXTENDED
from genre.features.families import check
from genre.features.musicnn import TAGS, columns
from genre.features.report import NAMES
from tasks.io import inputs


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def choose(project: Project, *families: str, **musicnn: Any) -> Params:
    params = project.params
    settings = params.musicnn.model_copy(update={"weights": ["msd"], **musicnn})
    return with_families(params, *families, musicnn=settings)


def write_family(project: Project, family: str, names: list[str]) -> pd.DataFrame:
    """Write a family's `3s` dataset, its rows in another order than those of the features."""
    rows = pd.read_parquet(project.root / "data/features/report/3s")
    values = np.arange(len(rows))[:, np.newaxis] + np.arange(len(names)) / 4096
    table = pd.concat(
        [
            rows[["track_id", "genre", "segment", "start_s"]],
            pd.DataFrame(values.astype(np.float32), columns=names),
        ],
        axis=1,
    )
    folder = project.root / "data/features" / family / "3s"
    folder.mkdir(parents=True, exist_ok=True)
    table.iloc[::-1].to_parquet(folder / "part-0.parquet", index=False)
    return table


def test_the_families_columns_stand_side_by_side(project: Project) -> None:
    table = write_family(project, "extended", list(EXTENDED))

    data = inputs.read_data(project.root, "features_3s", choose(project, "report", "extended"))

    assert list(data.X) == [*NAMES, *EXTENDED]
    expected = data.keys.merge(table, on=["track_id", "segment"])[EXTENDED[0]]
    np.testing.assert_array_equal(data.X[EXTENDED[0]], expected)
    assert not data.X.isna().any(axis=None)


def test_the_report_can_be_left_out(project: Project) -> None:
    write_family(project, "extended", list(EXTENDED))

    data = inputs.read_data(project.root, "features_3s", choose(project, "extended"))

    assert list(data.X) == list(EXTENDED)


@pytest.mark.parametrize(
    ("layers", "count"),
    [(["tags"], 50), (["penultimate", "tags"], 250), (["mean_pool"], 753), (["max_pool"], 753)],
)
def test_of_musicnn_models_look_at_the_chosen_layers(
    project: Project, layers: list[str], count: int
) -> None:
    write_family(project, "musicnn", list(columns.names(["msd", "mtt"])))
    params = choose(project, "musicnn", layers=layers)

    data = inputs.read_data(project.root, "features_3s", params)

    assert data.X.shape[1] == count
    assert list(data.X) == list(columns.names(["msd"], params.musicnn.layers))


@pytest.mark.parametrize("family", ["extended", "musicnn"])
def test_a_family_that_was_not_computed_is_named_with_its_step(
    project: Project, family: str
) -> None:
    with pytest.raises(InputError, match=r"is a feature family; run the step features first"):
        inputs.read_data(project.root, "features_3s", choose(project, "report", family))


def test_layers_that_were_not_computed_are_named(project: Project) -> None:
    write_family(project, "musicnn", list(columns.names(["mtt"])))

    with pytest.raises(InputError, match=r"found no column msd_penultimate_0; run the step"):
        inputs.read_data(project.root, "features_3s", choose(project, "musicnn"))


def test_songs_that_a_family_lacks_are_named(project: Project) -> None:
    table = write_family(project, "extended", list(EXTENDED))
    track = table["track_id"].iloc[0]
    path = project.root / "data/features/extended/3s/part-0.parquet"
    table[table["track_id"] != track].to_parquet(path, index=False)

    with pytest.raises(InputError, match=f"1 songs of .*3s are missing, {track} first"):
        inputs.read_data(project.root, "features_3s", choose(project, "report", "extended"))


def test_every_column_of_musicnn_has_a_name_of_its_own() -> None:
    names = columns.names(["msd", "mtt"])

    assert len(set(names)) == len(names) == 2 * (50 + 200 + 753 + 753)
    assert len(set(columns.song_names(["msd"]))) == 2 * (50 + 200 + 753 + 753)


def test_a_tag_is_found_by_its_column() -> None:
    found = columns.tag_columns("msd")

    assert list(found) == list(TAGS["msd"])
    assert found["female vocalists"] == "msd_tags_female_vocalists"
    assert set(found.values()) <= set(columns.names(["msd"], ["tags"]))


def test_a_segment_is_the_mean_of_the_patches_with_their_middle_in_it() -> None:
    patches = np.array([[1.0], [2.0], [6.0], [10.0]], dtype=np.float32)
    middles = np.array([1.5, 2.5, 3.5, 7.0])

    rows = columns.of_segments(patches, middles, [0.0, 3.0, 6.0, 9.0], 3)

    np.testing.assert_array_equal(rows, [[1.5], [6.0], [10.0], [10.0]])


def test_a_song_is_the_mean_and_the_deviation_of_its_patches() -> None:
    patches = np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32)

    np.testing.assert_array_equal(columns.of_song(patches), [2.0, 5.0, 1.0, 0.0])


def test_an_unknown_family_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ParameterError, match=r"found 'musicn', expected auto, .* mean musicnn"):
        check(["report", "musicn"])
