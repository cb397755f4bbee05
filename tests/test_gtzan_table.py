"""The public yardstick: who learns from what, songs that stay together, and bad tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks.gtzan_table.__main__ import compute, main
from benchmarks.gtzan_table.rows import Rows, drawn, predefined, read
from genre.features import NAMES
from genre.params import Params, load_params

pytestmark = pytest.mark.slow

GENRES = ("blues", "jazz", "rock")
SONGS = 24
SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
SIDES = ["train"] * 12 + ["valid"] * 6 + ["test"] * 6
QUICK = ("lda", "svm")
NEAR = 3


def table(segments: int = 0) -> pd.DataFrame:
    """Songs of three genres whose first features tell them apart, more or less."""
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
                rows.append({**row, "part": SIDES[song]})
    return pd.DataFrame(rows)


def write(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "table.csv"
    rows.to_csv(path, index=False)
    return path


def parts(rows: pd.DataFrame, folder: Path, near: int = NEAR) -> Rows:
    return predefined(read(write(rows, folder)), "part", SHARES, near)


def groups(rows: Rows) -> dict[str, str]:
    keys = rows.fitting.keys
    return dict(zip(keys["track_id"], keys["group"], strict=True))


def figures(
    rows: pd.DataFrame,
    folder: Path,
    params: Params,
    *,
    column: str | None = "part",
    names: tuple[str, ...] = QUICK,
) -> dict[str, Any]:
    return compute(read(write(rows, folder)), params, names, column, NEAR)


def without_test(result: dict[str, Any]) -> dict[str, Any]:
    models = {
        name: {key: value for key, value in scores.items() if key != "test"}
        for name, scores in result["models"].items()
    }
    counts = {side: songs for side, songs in result["rows"].items() if side != "test"}
    return {**result, "models": models, "rows": counts}


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    found = load_params(project / "params.yaml")
    evaluate = found.evaluate.model_copy(update={"bootstrap_samples": 100})
    mlp = found.train.mlp.model_copy(update={"hidden": [8], "max_epochs": 3})
    svm = found.train.svm.model_copy(update={"folds": 2})
    boosting = found.train.boosting.model_copy(update={"n_estimators": 8})
    quick = {"folds": 2, "mlp": mlp, "svm": svm, "boosting": boosting}
    train = found.train.model_copy(update=quick)
    compute = found.compute.model_copy(update={"workers": 1})
    return found.model_copy(update={"evaluate": evaluate, "train": train, "compute": compute})


@pytest.fixture(scope="module")
def result(params: Params, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return figures(table(), tmp_path_factory.mktemp("result"), params)


# Who learns from what


def test_every_candidate_is_scored_on_valid_and_test_songs(result: dict[str, Any]) -> None:
    assert result["protocol"] == "predefined"
    assert result["rows"] == {"train": 36, "validation": 18, "test": 18}
    assert set(QUICK) <= set(result["models"]) <= {*QUICK, "vote"}
    assert result["selected"] in result["models"]
    for scores in result["models"].values():
        for subset, songs in (("held_out", 54), ("validation", 18), ("test", 18)):
            found = scores[subset]
            low, high = found["ci95"]
            assert found["n"] == songs
            assert 0 <= low <= found["accuracy"] <= high <= 1
            assert found["accuracy"] > 0.5
    for when in ("before", "after"):
        assert set(result["calibration"][when]) == {
            "ece",
            "ece_debiased",
            "ece_chance",
            "consistent",
            "n",
        }


def test_the_selected_one_has_the_best_macro_f1_out_of_fold(result: dict[str, Any]) -> None:
    scores = {name: found["held_out"]["f1_macro"] for name, found in result["models"].items()}
    assert scores[result["selected"]] == max(scores.values())


@pytest.mark.parametrize("what", ["labels", "features", "absence"])
def test_test_rows_change_nothing_but_their_own_scores(
    what: str, params: Params, result: dict[str, Any], tmp_path: Path
) -> None:
    rows = table()
    test = rows["part"] == "test"
    if what == "labels":
        rows.loc[test, "label"] = np.roll(rows.loc[test, "label"], 6)
    elif what == "features":
        values = np.random.default_rng(1).normal(100, 50, (18, len(NAMES)))
        rows.loc[test, list(NAMES)] = values
    else:
        rows = rows[~test]
    found = figures(rows, tmp_path, params)
    assert without_test(found) == without_test(result)
    assert found["models"] != result["models"]


def test_valid_rows_teach_nothing_to_the_models_that_are_scored_on_them(
    params: Params, result: dict[str, Any], tmp_path: Path
) -> None:
    rows = table()
    valid = rows["part"] == "valid"
    rows.loc[valid, "label"] = np.roll(rows.loc[valid, "label"], 6)
    permuted = figures(rows, tmp_path, params, names=("lda",))
    hits = result["models"]["lda"]["validation"]["accuracy"]
    # Each song is of another genre than its features say: what was right is now wrong.
    assert permuted["models"]["lda"]["validation"]["accuracy"] <= 1 - hits


@pytest.mark.parametrize("word", ["excluded", "", " Excluded "])
def test_excluded_rows_are_left_out(word: str, tmp_path: Path) -> None:
    rows = table()
    rows.loc[[0, 30], "part"] = word
    rows.loc[0, "tempo"] = np.nan
    found = parts(rows, tmp_path)
    assert len(found.fitting.keys) == 52
    assert not {"blues.00000", "jazz.00006"} & set(found.fitting.keys["track_id"])


def test_a_model_that_stops_early_takes_part(params: Params, tmp_path: Path) -> None:
    found = figures(table(), tmp_path, params, names=("mlp",))
    assert found["selected"] == "mlp"
    assert found["models"]["mlp"]["test"]["n"] == 18


def test_without_a_column_five_splits_are_drawn_and_averaged(
    params: Params, tmp_path: Path
) -> None:
    found = figures(table(), tmp_path, params, column=None, names=("boosting",))
    assert found["protocol"] == "song"
    assert [one["seed"] for one in found["seeds"]] == [0, 1, 2, 3, 4]
    for subset in ("validation", "test"):
        each = [one["models"]["boosting"][subset] for one in found["seeds"]]
        mean = np.mean([one["accuracy"] for one in each])
        assert found["models"]["boosting"][subset]["accuracy"] == pytest.approx(mean, abs=1e-6)
        assert found["models"]["boosting"][subset]["n"] == sum(one["n"] for one in each)
    assert len({json.dumps(one["models"]) for one in found["seeds"]}) == 5


# Who stays together


def test_segments_are_known_by_their_names_and_stay_together(tmp_path: Path) -> None:
    rows = read(write(table(segments=10), tmp_path))
    assert rows["track_id"].nunique() == 72
    assert sorted(rows["segment"].unique()) == list(range(10))
    found = drawn(rows, SHARES, 0, 0)
    assert found.test is not None
    sides = pd.concat([found.fitting.keys, found.test.keys])
    assert len(sides) == 720
    assert (sides.groupby("track_id")["subset"].nunique() == 1).all()
    assert (sides.groupby("track_id")["group"].nunique() == 1).all()


def test_segments_are_scored_as_songs(params: Params, tmp_path: Path) -> None:
    found = figures(table(segments=2), tmp_path, params, names=("boosting",))
    assert found["rows"]["validation"] == 36
    assert found["models"]["boosting"]["validation"]["n"] == 18


def test_neighbours_are_grouped_in_stretches_that_end_where_the_side_changes(
    tmp_path: Path,
) -> None:
    found = groups(parts(table(), tmp_path, near=8))
    blues = [found[f"blues.{number:05d}"] for number in range(18)]
    first, second, third = "blues.00000", "blues.00008", "blues.00012"
    assert blues == [first] * 8 + [second] * 4 + [third] * 6


def test_without_neighbours_each_song_is_by_itself(tmp_path: Path) -> None:
    found = groups(parts(table(), tmp_path, near=0))
    assert len(set(found.values())) == 54


def test_songs_that_share_an_artist_are_together_on_whatever_side(tmp_path: Path) -> None:
    rows = table()
    both = rows["filename"].isin(["blues.00001.wav", "rock.00013.wav"])
    found = groups(parts(rows.assign(artist=np.where(both, 7, np.nan)), tmp_path, near=0))
    assert found["blues.00001"] == found["rock.00013"]
    assert len(set(found.values())) == 53


def test_songs_of_one_group_are_together(tmp_path: Path) -> None:
    rows = table()
    both = rows["filename"].isin(["blues.00001.wav", "rock.00003.wav"])
    found = groups(parts(rows.assign(group=np.where(both, "a", "")), tmp_path, near=0))
    assert found["blues.00001"] == found["rock.00003"]
    assert len(set(found.values())) == 53


def test_an_artist_is_on_one_side_of_a_drawn_split(tmp_path: Path) -> None:
    rows = table()
    rows["artist"] = [f"{genre}{number % 8}" for genre in GENRES for number in range(SONGS)]
    found = drawn(read(write(rows, tmp_path)), SHARES, 0, 0)
    assert found.test is not None
    keys = pd.concat([found.fitting.keys, found.test.keys]).set_index("track_id")
    artist = rows.set_index(rows["filename"].str.removesuffix(".wav"))["artist"]
    assert (keys.groupby(artist)["subset"].nunique() == 1).all()
    assert found.artist_leak == []


def test_a_copy_of_a_test_song_is_not_learned_from(tmp_path: Path) -> None:
    rows = table()
    both = rows["filename"].isin(["blues.00001.wav", "blues.00020.wav"])
    found = parts(rows.assign(group=np.where(both, "a", "")), tmp_path, near=0)
    assert "blues.00001" not in set(found.fitting.keys["track_id"])
    assert found.test is not None
    assert "blues.00020" in set(found.test.keys["track_id"])


# The command


@pytest.fixture
def quick(params: Params, tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(yaml.safe_dump(params.model_dump(by_alias=True, mode="json")))
    return path


def command(path: Path, quick: Path, *options: str) -> int:
    more = ["--params", str(quick), "--group-neighbours", "3", "--models", "boosting"]
    return main(["--table", str(path), *more, *options])


def test_the_command_writes_the_same_figures_again(
    quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(table(), tmp_path)
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    for where in (one, other):
        assert command(path, quick, "--split-column", "part", "--json", str(where)) == 0
    assert one.read_bytes() == other.read_bytes()
    content = json.loads(one.read_text())
    assert content["selected"] == "boosting"
    assert {"accuracy", "ci95", "n"} <= set(content["models"]["boosting"]["validation"])
    assert "boosting *" in capsys.readouterr().out


def changed(column: str, value: object, row: int = 0) -> pd.DataFrame:
    records: list[dict[Any, Any]] = table().to_dict("records")
    records[row][column] = value
    return pd.DataFrame(records)


def only(keep: Callable[[dict[Any, Any]], bool]) -> pd.DataFrame:
    return pd.DataFrame([row for row in table().to_dict("records") if keep(row)])


BAD = {
    "missing columns": (
        table().drop(columns=["tempo", "mfcc3_var"]),
        "2 columns are missing: tempo, mfcc3_var",
    ),
    "no rows": (table().head(0), "has no row"),
    "no label": (changed("label", None, 3), "row 5 has no label"),
    "a file twice": (pd.concat([table(), table().head(1)]), "listed twice: blues.00000.wav"),
    "not finite": (changed("tempo", np.inf, 7), "tempo, of blues.00007.wav"),
    "not a number": (changed("tempo", "fast", 7), "tempo, of blues.00007.wav"),
    "test not finite": (changed("tempo", np.nan, 23), "tempo, of blues.00023.wav"),
    "no valid row": (only(lambda row: row["part"] != "valid"), "no row that says valid"),
    "no train row": (only(lambda row: row["part"] != "train"), "no row that says train"),
    "an unknown word": (changed("part", "trian"), "says 'trian' .blues.00000.wav.*expected train"),
    "a genre absent from train": (
        only(lambda row: row["label"] != "jazz" or row["part"] == "test"),
        "no train row of jazz",
    ),
    "a genre absent from valid": (
        only(lambda row: row["label"] != "jazz" or row["part"] == "train"),
        "no validation songs for jazz",
    ),
    "no such column": (table().rename(columns={"part": "parts"}), "did you mean parts?"),
    "a song on two sides": (
        table(segments=2).assign(part=["train", "valid"] * 72),
        "segments of one song have more than one side: blues.00000",
    ),
    "a song of two genres": (
        table(segments=2).assign(label=["jazz", "rock"] * 72),
        "segments of one song have more than one label: blues.00000",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_named_and_ends_with_code_2(
    case: str, quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, message = BAD[case]
    where = tmp_path / "figures.json"
    path = write(rows, tmp_path)
    assert command(path, quick, "--split-column", "part", "--json", str(where)) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not where.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--models", "lda", "svn"), "did you mean svm"),
        (("--models", "cnn"), "cnn learn from pictures"),
        (("--group-neighbours", "-1"), "expected 0 or more"),
        (("--table", "nowhere.csv"), "nowhere.csv: no such table"),
    ],
)
def test_a_bad_option_is_named_and_ends_with_code_2(
    options: tuple[str, ...],
    message: str,
    quick: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(table(), tmp_path)
    assert command(path, quick, "--split-column", "part", *options) == 2
    assert message in capsys.readouterr().err


# The table itself


@pytest.mark.real_audio
@pytest.mark.slow
def test_probabilities_of_held_out_gtzan_songs_are_true_after_scaling(
    project: Path, shared_data: Path
) -> None:
    rows = read(shared_data / "gtzan_features_30s_dev.csv")
    params = load_params(project / "params.yaml")
    found = compute(rows, params, QUICK, "fault_filtered", None)
    assert found["rows"] == {"train": 443, "validation": 197}
    assert found["neighbours"] == 15
    assert found["calibration"]["after"]["consistent"]
    assert found["calibration"]["after"]["n"] == 640
    chosen = found["models"][found["selected"]]
    assert chosen["held_out"]["accuracy"] > 0.6
    assert chosen["validation"]["accuracy"] > 0.5
