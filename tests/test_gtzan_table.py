"""The benchmark on the public table: training rows, groups, tag activations, bad files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks.gtzan_table import table as module
from benchmarks.gtzan_table.__main__ import compute, main
from benchmarks.gtzan_table.table import TAGS, join_taggrams, read, split_table
from genre.core.params import Params, load_params
from genre.features.report import NAMES

GENRES = ("blues", "jazz", "rock")
SONGS = 24
SUBSETS = ["train"] * 12 + ["valid"] * 6 + ["test"] * 6
PATCHES = 4


def table(segments: int = 0) -> pd.DataFrame:
    """Songs of three genres that differ in their first features."""
    generator = np.random.default_rng(0)
    rows = []
    for number, genre in enumerate(GENRES):
        for song in range(SONGS):
            for segment in range(segments or 1):
                values = generator.normal(size=len(NAMES))
                values[3 * number : 3 * number + 3] += 1.5
                middle = f".{segment}" if segments else ""
                name = f"{genre}.{song:05d}{middle}.wav"
                features = dict(zip(NAMES, values, strict=True))
                row = {"filename": name, "length": 661794, **features, "label": genre}
                rows.append({**row, "part": SUBSETS[song]})
    return pd.DataFrame(rows)


def taggrams() -> dict[str, Any]:
    """Tag activations of these songs, which separate genres better."""
    generator = np.random.default_rng(1)
    ids = [f"{genre}/{genre}.{song:05d}.au" for genre in GENRES for song in range(SONGS)]
    odds = generator.normal(-3, 1, size=(len(ids), PATCHES, 50))
    for number in range(len(GENRES)):
        odds[number * SONGS : (number + 1) * SONGS, :, number] += 4
    X = 1 / (1 + np.exp(-odds.reshape(-1, 50)))
    return {"X": X.astype(np.float32), "IDS": np.repeat(ids, PATCHES)}


def write(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "table.csv"
    rows.to_csv(path, index=False)
    return path


def write_tags(content: dict[str, Any], folder: Path) -> Path:
    path = folder / "tags.npz"
    np.savez(path, **content)
    return path


@pytest.fixture(autouse=True, scope="module")
def short_runs() -> Iterator[None]:
    """Short runs of neighbours for the few songs of these tests."""
    with mock.patch.object(module, "NEIGHBOURS", 3):
        yield


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    found = load_params(project / "params.yaml")
    evaluate = found.evaluate.model_copy(update={"bootstrap_samples": 100})
    mlp = found.train.mlp.model_copy(update={"hidden": [8], "max_epochs": 3})
    train = found.train.model_copy(update={"folds": 2, "mlp": mlp})
    return found.model_copy(update={"evaluate": evaluate, "train": train})


def split(rows: pd.DataFrame, folder: Path, params: Params, column: str | None = "part"):
    return split_table(read(write(rows, folder)), params, column, 0)[0].keys


def groups(rows: pd.DataFrame, folder: Path, params: Params) -> dict[str, str]:
    return split(rows, folder, params).set_index("track_id")["group"].to_dict()


def figures(
    rows: pd.DataFrame, folder: Path, params: Params, *models: str, column: str | None = "part"
) -> dict[str, Any]:
    return compute(read(write(rows, folder)), params, models or ("lda",), column)


# Training rows


@pytest.fixture(scope="module")
def result(params: Params, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return figures(table(), tmp_path_factory.mktemp("result"), params, "lda", "logistic")


def test_every_model_is_scored_on_valid_and_test_songs(result) -> None:
    assert result["protocol"] == "predefined"
    assert result["rows"] == {"train": 36, "validation": 18, "test": 18}
    assert {"lda", "logistic"} <= set(result["models"]) <= {"lda", "logistic", "vote"}
    for subset, songs in (("held_out", 54), ("validation", 18), ("test", 18)):
        scores = result["models"]["lda"][subset]
        low, high = scores["ci95"]
        assert scores["n"] == songs
        assert scores["accuracy"] > 0.5
        assert 0 <= low <= scores["accuracy"] <= high <= 1
    assert result["calibration"]["after"]["n"] == 54
    scores = {name: found["held_out"]["f1_macro"] for name, found in result["models"].items()}
    assert scores[result["selected"]] == max(scores.values())


@pytest.mark.slow
def test_a_model_that_stops_early_is_scored_too(params, tmp_path) -> None:
    found = figures(table(), tmp_path, params, "mlp")
    assert found["selected"] == "mlp"
    assert found["models"]["mlp"]["test"]["n"] == 18


@pytest.mark.parametrize("what", ["labels", "features", "absence"])
def test_test_rows_change_nothing_but_their_own_scores(what, params, tmp_path) -> None:
    rows = table()
    before = figures(rows, tmp_path, params)
    test = rows["part"] == "test"
    if what == "labels":
        rows.loc[test, "label"] = np.roll(rows.loc[test, "label"], 6)
    elif what == "features":
        rows.loc[test, list(NAMES)] = np.random.default_rng(1).normal(100, 50, (18, len(NAMES)))
    else:
        rows = rows[~test]

    found = figures(rows, tmp_path, params)

    assert found["models"] != before["models"]
    for one in (found, before):
        one["rows"].pop("test", None)
        one["models"]["lda"].pop("test", None)
    assert found == before


def test_valid_rows_train_nothing_that_is_scored_on_them(params, result, tmp_path) -> None:
    rows = table()
    valid = rows["part"] == "valid"
    rows.loc[valid, "label"] = np.roll(rows.loc[valid, "label"], 6)

    permuted = figures(rows, tmp_path, params)

    # Each song now has a label that contradicts its features.
    before = result["models"]["lda"]["validation"]["accuracy"]
    assert permuted["models"]["lda"]["validation"]["accuracy"] <= 1 - before


def test_without_a_column_five_splits_are_drawn_and_averaged(params, tmp_path) -> None:
    found = figures(table(), tmp_path, params, column=None)

    assert found["protocol"] == "song"
    assert [one["seed"] for one in found["seeds"]] == [0, 1, 2, 3, 4]
    each = [one["models"]["lda"]["test"] for one in found["seeds"]]
    mean = np.mean([one["accuracy"] for one in each])
    assert found["models"]["lda"]["test"]["accuracy"] == pytest.approx(mean, abs=1e-6)
    assert found["models"]["lda"]["test"]["n"] == sum(one["n"] for one in each)
    assert len({json.dumps(one["models"]) for one in found["seeds"]}) == 5


# Rows and groups


def test_segments_of_a_song_stay_together_and_are_scored_as_one(params, tmp_path) -> None:
    keys = split(table(segments=10), tmp_path, params, None)
    found = figures(table(segments=2), tmp_path, params)

    assert len(keys) == 720
    assert sorted(keys["segment"].unique()) == list(range(10))
    assert (keys.groupby("track_id")[["subset", "group"]].nunique() == 1).all(axis=None)
    assert found["rows"]["validation"] == 36
    assert found["models"]["lda"]["validation"]["n"] == 18


@pytest.mark.parametrize("word", ["excluded", "", " Excluded "])
def test_excluded_rows_are_left_out(word, params, tmp_path) -> None:
    rows = table()
    rows.loc[[0, 30], "part"] = word
    rows.loc[0, "tempo"] = np.nan

    keys = split(rows, tmp_path, params)

    assert len(keys) == 70
    assert not {"blues.00000", "jazz.00006"} & set(keys["track_id"])


def test_neighbours_are_grouped_in_runs_that_end_where_the_subset_changes(
    params, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "NEIGHBOURS", 8)

    found = groups(table(), tmp_path, params)

    blues = [found[f"blues.{number:05d}"] for number in range(18)]
    assert blues == ["blues.00000"] * 8 + ["blues.00008"] * 4 + ["blues.00012"] * 6


@pytest.mark.parametrize("column", ["artist", "group"])
def test_songs_of_one_artist_or_group_are_together(column, params, tmp_path) -> None:
    rows = table()
    both = rows["filename"].isin(["blues.00001.wav", "rock.00003.wav"])

    found = groups(rows.assign(**{column: np.where(both, "a", "")}), tmp_path, params)

    assert found["blues.00001"] == found["rock.00003"]
    assert len(set(found.values())) == 71


def test_a_copy_of_a_test_song_trains_nothing(params, tmp_path) -> None:
    rows = table()
    both = rows["filename"].isin(["blues.00001.wav", "blues.00020.wav"])

    keys = split(rows.assign(group=np.where(both, "a", "")), tmp_path, params)

    assert "blues.00001" not in set(keys["track_id"])
    assert "blues.00020" in set(keys["track_id"])


# Tag activations


def test_tags_are_a_second_family_on_the_same_songs(params, tmp_path) -> None:
    content = taggrams()
    of_valid = np.repeat([SUBSETS[song] == "valid" for _ in GENRES for song in range(24)], PATCHES)
    content = {name: array[~of_valid] for name, array in content.items()}
    rows = join_taggrams(read(write(table(), tmp_path)), write_tags(content, tmp_path))

    found = compute(rows, params, ("lda",), "part")

    names = {"report lda", "musicnn lda", "joined lda"}
    assert names <= set(found["models"]) <= {*names, "vote"}
    assert found["rows"] == {"train": 36, "test": 18}
    out_of_fold = {name: one["held_out"]["accuracy"] for name, one in found["models"].items()}
    assert out_of_fold["musicnn lda"] > out_of_fold["report lda"]
    assert found["models"]["joined lda"]["test"]["n"] == 18
    odds = np.log(content["X"] / (1 - content["X"]))[PATCHES : 2 * PATCHES].mean(axis=0)
    np.testing.assert_allclose(rows[list(TAGS)].iloc[1], odds, rtol=1e-4)


BAD_TAGS = {
    "no X": ({"IDS": taggrams()["IDS"]}, "X is not a file in the archive"),
    "too few tags": (taggrams() | {"X": taggrams()["X"][:, :49]}, "expected X of activations"),
    "no activations": (taggrams() | {"X": taggrams()["X"] * 9}, "expected X of activations"),
    "an unknown clip": (
        taggrams() | {"IDS": np.repeat("blues/x.au", 288)},
        "clips that are not in the table: x",
    ),
    "pickled objects": (taggrams() | {"IDS": np.array([{}] * 288)}, "cannot be read"),
}


# The command


def command(folder: Path, params: Params, *options: str) -> int:
    """The exit code of the command in a folder with `params.yaml`."""
    content = yaml.safe_dump(params.model_dump(by_alias=True, mode="json"))
    (folder / "params.yaml").write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return main(["--table", "table.csv", "--split-column", "part", *options])


def test_the_command_writes_the_same_figures_again(params, tmp_path, capsys) -> None:
    write(table(), tmp_path)

    for name in ("one.json", "other.json"):
        assert command(tmp_path, params, "--models", "lda", "--json", name) == 0

    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert json.loads((tmp_path / "one.json").read_text())["selected"] == "lda"
    assert re.search(r"lda \* +\d+\.\d %", capsys.readouterr().out)


def changed(column: str, value: object, row: int = 0) -> pd.DataFrame:
    rows = table().astype({column: "object"})
    rows.loc[row, column] = value
    return rows


T = table()
BAD = {
    "missing columns": (T.drop(columns=["tempo", "mfcc3_var"]), "2 columns are missing: tempo, mf"),
    "no rows": (T.head(0), "has no row"),
    "no label": (changed("label", None, 3), "row 5 has no label"),
    "a file twice": (pd.concat([T, T.head(1)]), "listed twice: blues.00000.wav"),
    "not finite": (changed("tempo", np.inf, 7), "tempo, of blues.00007.wav"),
    "not a number": (changed("tempo", "fast", 7), "tempo, of blues.00007.wav"),
    "no valid row": (T[T["part"] != "valid"], "no validation songs"),
    "no train row": (T[T["part"] != "train"], "no train songs"),
    "an unknown word": (changed("part", "trian"), "blues.00000.wav.*'trian'.*expected train"),
    "a genre without valid": (
        T[(T["label"] != "jazz") | (T["part"] == "train")],
        "no validation songs for jazz",
    ),
    "no such column": (T.rename(columns={"part": "parts"}), "has no column 'part'"),
    "two subsets": (table(2).assign(part=["train", "valid"] * 72), "more than one part: blues.000"),
    "two labels": (table(2).assign(label=["jazz", "rock"] * 72), "more than one label: blues.000"),
}


@pytest.mark.parametrize("case", [*BAD, *BAD_TAGS])
def test_a_bad_file_is_named_and_ends_with_code_2(case, params, tmp_path, capsys) -> None:
    rows, message = BAD.get(case, (T, ""))
    write(rows, tmp_path)
    options = ["--models", "lda", "--json", "figures.json"]
    if case in BAD_TAGS:
        content, message = BAD_TAGS[case]
        options += ["--taggrams", str(write_tags(content, tmp_path))]

    assert command(tmp_path, params, *options) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "figures.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models", "lda", "svn"), "did you mean svm"),
        (("--models", "cnn"), "the input of cnn is no table"),
        (("--table", "nowhere.csv"), "nowhere.csv: no such table"),
    ],
)
def test_a_bad_option_is_named_and_ends_with_code_2(options, message, params, tmp_path, capsys):
    write(table(), tmp_path)
    assert command(tmp_path, params, *options) == 2
    assert message in capsys.readouterr().err


# The table itself


@pytest.mark.real_audio
@pytest.mark.slow
def test_probabilities_of_held_out_gtzan_songs_are_calibrated(
    project, shared_data, monkeypatch
) -> None:
    rows = read(shared_data / "gtzan_features_30s_dev.csv")
    monkeypatch.setattr(module, "NEIGHBOURS", 15)
    found = compute(rows, load_params(project / "params.yaml"), ("lda", "svm"), "fault_filtered")
    assert found["rows"] == {"train": 443, "validation": 197}
    assert found["calibration"]["after"]["consistent"]
    assert found["calibration"]["after"]["n"] == 640
    chosen = found["models"][found["selected"]]
    assert chosen["held_out"]["accuracy"] > 0.6
    assert chosen["validation"]["accuracy"] > 0.5


@pytest.mark.real_audio
@pytest.mark.slow
def test_tags_predict_genres_far_better_than_the_57_columns(project, shared_data) -> None:
    table = read(shared_data / "gtzan_features_30s_dev.csv")
    rows = join_taggrams(table, shared_data / "gtzan_msd_musicnn_taggrams_dev.npz")
    found = compute(rows, load_params(project / "params.yaml"), ("lda",), "fault_filtered")
    assert found["rows"] == {"train": 443}
    assert found["models"]["report lda"]["held_out"]["accuracy"] > 0.6
    assert found["models"]["musicnn lda"]["held_out"]["accuracy"] > 0.8
