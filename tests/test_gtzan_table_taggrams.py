"""Tag activations beside the table: how clips are joined, who is compared, and bad files."""

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
from benchmarks.gtzan_table.families import FAMILIES, JOINED, field
from benchmarks.gtzan_table.fusion import fit_product, multiply
from benchmarks.gtzan_table.rows import read
from benchmarks.gtzan_table.taggrams import COLUMNS, join, log_odds, read_taggrams
from genre.features import NAMES
from genre.params import Params, load_params

pytestmark = pytest.mark.slow

GENRES = ("blues", "jazz", "rock")
SONGS = 24
SIDES = ["train"] * 12 + ["valid"] * 6 + ["test"] * 6
PATCHES = 4
Arrays = dict[str, Any]


def table(segments: int = 0) -> pd.DataFrame:
    """Songs of three genres whose first features tell them apart, a little."""
    generator = np.random.default_rng(0)
    rows = []
    for number, genre in enumerate(GENRES):
        for song in range(SONGS):
            for segment in range(segments or 1):
                values = generator.normal(size=len(NAMES))
                values[3 * number : 3 * number + 3] += 1
                middle = f".{segment}" if segments else ""
                name = f"{genre}.{song:05d}{middle}.wav"
                features = dict(zip(NAMES, values, strict=True))
                rows.append({"filename": name, **features, "label": genre, "part": SIDES[song]})
    return pd.DataFrame(rows)


def every(_genre: str, _song: int) -> bool:
    return True


def arrays(keep: Callable[[str, int], bool] = every) -> Arrays:
    """Activations of these songs, which tell the genres apart well."""
    generator = np.random.default_rng(1)
    X, Y, ids = [], [], []
    for number, genre in enumerate(GENRES):
        for song in range(SONGS):
            odds = generator.normal(-3, 1, size=50)
            odds[number] += 4
            patches = 1 / (1 + np.exp(-odds - generator.normal(0, 0.3, size=(PATCHES, 50))))
            if keep(genre, song):
                X.append(patches)
                Y += [number] * PATCHES
                ids += [f"{genre}/{genre}.{song:05d}.au"] * PATCHES
    return {"X": np.concatenate(X).astype(np.float32), "Y": np.array(Y), "IDS": np.array(ids)}


def write(content: Arrays, folder: Path) -> Path:
    path = folder / "tags.npz"
    np.savez(path, **content)
    return path


def write_table(rows: pd.DataFrame, folder: Path) -> Path:
    path = folder / "table.csv"
    rows.to_csv(path, index=False)
    return path


def only(*parts: str) -> Callable[[str, int], bool]:
    return lambda _, song: SIDES[song] in parts


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    found = load_params(project / "params.yaml")
    evaluate = found.evaluate.model_copy(update={"bootstrap_samples": 100})
    boosting = found.train.boosting.model_copy(update={"n_estimators": 8, "max_features": 0.5})
    train = found.train.model_copy(update={"folds": 2, "boosting": boosting})
    compute = found.compute.model_copy(update={"workers": 1})
    return found.model_copy(update={"evaluate": evaluate, "train": train, "compute": compute})


def figures(
    params: Params,
    folder: Path,
    content: Arrays,
    rows: pd.DataFrame | None = None,
    *,
    column: str | None = "part",
) -> dict[str, Any]:
    path = write_table(table() if rows is None else rows, folder)
    return compute(
        read(path), params, ("boosting",), column, 3, read_taggrams(write(content, folder))
    )


@pytest.fixture(scope="module")
def result(params: Params, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return figures(params, tmp_path_factory.mktemp("result"), arrays())


def without_test(result: dict[str, Any]) -> dict[str, Any]:
    models = {
        name: {key: value for key, value in scores.items() if key != "test"}
        for name, scores in result["models"].items()
    }
    counts = {side: songs for side, songs in result["rows"].items() if side != "test"}
    return {**result, "models": models, "rows": counts}


# Families on the same songs


def test_each_family_and_their_product_are_compared_on_the_same_songs(
    result: dict[str, Any],
) -> None:
    names = {"report boosting", "musicnn boosting", "joined boosting", "product boosting"}
    assert names <= set(result["models"]) <= names | {"vote"}
    assert result["rows"] == {"train": 36, "validation": 18, "test": 18}
    for scores in result["models"].values():
        for subset, songs in (("held_out", 54), ("validation", 18), ("test", 18)):
            low, high = scores[subset]["ci95"]
            assert scores[subset]["n"] == songs
            assert 0 <= low <= scores[subset]["accuracy"] <= high <= 1


def test_tags_that_tell_genres_apart_better_are_chosen(result: dict[str, Any]) -> None:
    scores = {name: found["held_out"]["f1_macro"] for name, found in result["models"].items()}
    assert scores[result["selected"]] == max(scores.values())
    assert scores["musicnn boosting"] > scores["report boosting"]
    assert result["selected"] != "report boosting"
    assert result["models"][result["selected"]]["test"]["accuracy"] > 0.8


@pytest.mark.parametrize("what", ["features", "tags", "absence", "no tags"])
def test_test_rows_change_nothing_but_their_own_scores(
    what: str, params: Params, result: dict[str, Any], tmp_path: Path
) -> None:
    rows, content = table(), arrays()
    test = rows["part"] == "test"
    if what == "features":
        values = rows.loc[test, list(NAMES)].to_numpy()
        rows.loc[test, list(NAMES)] = np.roll(values, 6, axis=0)
    elif what == "tags":
        of_test = np.repeat(test.to_numpy(), PATCHES)
        content["X"][of_test] = np.random.default_rng(2).uniform(size=(18 * PATCHES, 50))
    else:
        content = arrays(only("train", "valid"))
        rows = rows[~test] if what == "absence" else rows
    found = figures(params, tmp_path, content, rows)
    assert without_test(found) == without_test(result)
    assert found["models"] != result["models"]


def test_without_valid_clips_only_test_is_scored(
    params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = figures(params, tmp_path, arrays(only("train", "test")))
    assert found["rows"] == {"train": 36, "test": 18}
    for scores in found["models"].values():
        assert "validation" not in scores
        assert scores["held_out"]["n"] == 36
        assert scores["test"]["n"] == 18
    assert "left out: 18 of 18 validation" in capsys.readouterr().err


def test_train_clips_alone_are_scored_out_of_fold(params: Params, tmp_path: Path) -> None:
    rows = table()
    found = figures(params, tmp_path, arrays(only("train")), rows[rows["part"] == "train"])
    assert found["rows"] == {"train": 36}
    assert all(set(scores) & {"validation", "test"} == set() for scores in found["models"].values())


def test_valid_clips_of_some_genres_are_scored(
    params: Params, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def keep(genre: str, song: int) -> bool:
        return SIDES[song] != "valid" or (genre == "rock" and song > 14)

    found = figures(params, tmp_path, arrays(keep))
    assert found["rows"] == {"train": 36, "validation": 3, "test": 18}
    assert found["models"]["musicnn boosting"]["validation"]["n"] == 3
    assert "left out: 15 of 18 validation" in capsys.readouterr().err


def test_copies_and_artists_on_two_sides_are_minded_where_valid_lacks_genres(
    params: Params, tmp_path: Path
) -> None:
    rows = table()
    rows["group"] = np.where(rows["filename"].isin(["rock.00001.wav", "rock.00015.wav"]), "a", "")
    rows["artist"] = rows["filename"]
    rows.loc[rows["filename"].isin(["rock.00002.wav", "rock.00016.wav"]), "artist"] = "one"
    content = arrays(lambda genre, song: SIDES[song] != "valid" or genre == "rock")
    found = figures(params, tmp_path, content, rows)
    assert found["rows"] == {"train": 35, "validation": 6, "test": 18}
    assert found["artist_leak"] == ["rock"]


def test_without_a_split_column_five_splits_are_drawn(params: Params, tmp_path: Path) -> None:
    found = figures(params, tmp_path, arrays(), column=None)
    assert [one["seed"] for one in found["seeds"]] == [0, 1, 2, 3, 4]
    assert {"report boosting", "musicnn boosting", "joined boosting", "product boosting"} <= set(
        found["models"]
    )


def test_segments_of_a_song_have_its_tags(params: Params, tmp_path: Path) -> None:
    found = figures(params, tmp_path, arrays(), table(segments=2))
    assert found["rows"]["train"] == 72
    assert found["models"]["musicnn boosting"]["held_out"]["n"] == 54


# Columns and joining


def test_columns_are_the_mean_log_odds_of_a_clips_patches(tmp_path: Path) -> None:
    content = arrays()
    columns = read_taggrams(write(content, tmp_path)).columns["blues", "blues.00001"]
    X = content["X"][PATCHES : 2 * PATCHES].astype(np.float64)
    np.testing.assert_allclose(columns, np.log(X / (1 - X)).mean(axis=0), rtol=1e-9)


def test_activations_of_none_and_all_have_finite_log_odds() -> None:
    found = log_odds(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    np.testing.assert_allclose(found, [[-np.log(1e6 - 1), 0, np.log(1e6 - 1)]], rtol=1e-6)


@pytest.mark.parametrize(
    "said",
    [
        "blues/blues.{:05d}.au",
        "BLUES/Blues.{:05d}.WAV",
        "blues.{:05d}",
        "some/where/else/blues.{:05d}.mp3",
        r"GTZAN\blues\blues.{:05d}.flac",
    ],
)
def test_case_suffix_and_folders_do_not_matter(said: str, tmp_path: Path) -> None:
    content = arrays(lambda genre, _: genre == "blues")
    content["IDS"] = np.repeat([said.format(song) for song in range(SONGS)], PATCHES)
    rows = read(write_table(table(), tmp_path))
    found = join(rows, read_taggrams(write(content, tmp_path)))
    assert found["track_id"].tolist() == [f"blues.{song:05d}" for song in range(SONGS)]
    expected = log_odds(content["X"]).reshape(SONGS, PATCHES, 50).mean(axis=1)
    np.testing.assert_allclose(found[list(COLUMNS)].to_numpy(), expected)


def test_songs_of_one_name_are_told_apart_by_genre(tmp_path: Path) -> None:
    content = arrays()
    names = [str(name).split(".")[0].split("/")[0] for name in content["IDS"]]
    numbers = [str(name).split(".")[1] for name in content["IDS"]]
    content["IDS"] = np.array([f"{g}/{n}.au" for g, n in zip(names, numbers, strict=True)])
    rows = table()
    rows["filename"] = rows["label"] + "/" + rows["filename"].str.split(".").str[1] + ".wav"
    found = join(read(write_table(rows, tmp_path)), read_taggrams(write(content, tmp_path)))
    assert len(found) == 72
    expected = log_odds(content["X"]).reshape(72, PATCHES, 50).mean(axis=1)
    np.testing.assert_allclose(found[list(COLUMNS)].to_numpy(), expected)


def test_clips_of_excluded_rows_may_be_there(params: Params, tmp_path: Path) -> None:
    rows = table()
    rows.loc[[0, 30], "part"] = "excluded"
    assert figures(params, tmp_path, arrays(), rows)["rows"]["train"] == 34


# The product


def test_the_product_weighs_evidence_by_its_worth() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, size=3000)
    strong, weak = np.zeros((2, 3000, 4))
    for odds, step in ((strong, 1.5), (weak, 0.5)):
        odds += generator.normal(size=odds.shape)
        odds[np.arange(3000), truth] += step
        odds *= step  # the log-likelihood ratio of normal distributions `step` apart
    answers = [np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True) for odds in (strong, weak)]
    weights = fit_product(answers, truth)
    np.testing.assert_allclose(weights, [1, 1], atol=0.15)
    both = (multiply(answers, weights).argmax(axis=1) == truth).mean()
    assert both > max((one.argmax(axis=1) == truth).mean() for one in answers)


def test_a_member_that_knows_nothing_has_no_weight() -> None:
    truth = np.arange(300) % 3
    right = np.full((300, 3), 0.2)
    right[np.arange(300), truth] = 0.6
    wrong = np.roll(right, 1, axis=1)
    assert fit_product([right, wrong], truth)[1] == 0


def test_a_model_stands_once_in_each_family() -> None:
    found = field(("lda", "svm"), tagged=True)
    assert found.learners["joined svm"].columns == FAMILIES[JOINED] == (*NAMES, *COLUMNS)
    assert found.products["product lda"] == ("report lda", "musicnn lda")
    assert found.products["product all"] == (
        "report lda",
        "musicnn lda",
        "report svm",
        "musicnn svm",
    )
    alone = field(("lda",), tagged=False)
    assert list(alone.learners) == ["lda"]
    assert alone.learners["lda"].columns == NAMES
    assert not alone.products
    assert list(field(("lda",), tagged=True).products) == ["product lda"]


# The command and bad files


@pytest.fixture
def quick(params: Params, tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(yaml.safe_dump(params.model_dump(by_alias=True, mode="json")))
    return path


def command(tags: Path, quick: Path, folder: Path, *options: str) -> int:
    files = ["--table", str(write_table(table(), folder)), "--taggrams", str(tags)]
    more = ["--params", str(quick), "--group-neighbours", "3", "--models", "boosting"]
    return main([*files, *more, "--split-column", "part", *options])


def test_the_command_prints_models_by_families_and_writes_the_same_figures_again(
    quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = write(arrays(only("train", "test")), tmp_path)
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    for where in (one, other):
        assert command(tags, quick, tmp_path, "--json", str(where)) == 0
    assert one.read_bytes() == other.read_bytes()
    assert json.loads(one.read_text())["taggrams"] == "tags.npz"
    said = capsys.readouterr().out
    assert re.search(r"report +musicnn +joined +product", said)
    assert len(re.findall(r"^boosting +.*%.*%.*%.*%", said, flags=re.MULTILINE)) == 2


def changed(**arguments: Any) -> Arrays:
    return {**arrays(), **arguments}


def with_value(value: float) -> Arrays:
    content = arrays()
    content["X"][7, 3] = value
    return content


def with_ids(change: Callable[[list[str]], list[str]]) -> Arrays:
    content = arrays()
    content["IDS"] = np.array(change([str(name) for name in content["IDS"]]))
    return content


def twice(content: Arrays) -> Arrays:
    return {name: np.concatenate([array, array[:PATCHES]]) for name, array in content.items()}


BAD: dict[str, tuple[Arrays, str]] = {
    "no X": ({"IDS": arrays()["IDS"]}, "has no X"),
    "no clips": ({"X": arrays()["X"]}, "has no IDS"),
    "no row": (changed(X=np.empty((0, 50)), Y=np.empty(0), IDS=np.empty(0, "U4")), "has no row"),
    "too few tags": (changed(X=arrays()["X"][:, :49]), r"float32 \(288, 49\), expected float"),
    "one dimension": (changed(X=arrays()["X"][:, 0]), r"float32 \(288,\), expected float"),
    "whole numbers": (changed(X=np.ones((288, 50), dtype=int)), r"int64 \(288, 50\), expected"),
    "fewer clips than rows": (changed(IDS=arrays()["IDS"][:-1]), r"IDS has the shape \(287,\)"),
    "fewer genres than rows": (changed(Y=arrays()["Y"][:-1]), r"Y has the shape \(287,\)"),
    "clips as numbers": (changed(IDS=np.arange(288)), "IDS is int64, expected text"),
    "not a number": (with_value(np.nan), r"first is row 7 \(blues/blues.00001.au\)"),
    "infinite": (with_value(np.inf), r"first is row 7 \(blues/blues.00001.au\)"),
    "no activation": (with_value(1.5), "between 0 and 1"),
    "a clip twice": (twice(arrays()), "blues/blues.00000.au is there twice, again at row 288"),
    "a clip under two names": (
        with_ids(lambda ids: [*ids[:2], *["blues.00000.wav"] * 2, *ids[4:]]),
        "blues/blues.00000.au and blues.00000.wav are the same clip",
    ),
    "an unknown clip": (
        with_ids(lambda ids: ["blues/blues.99999.au"] * PATCHES + ids[PATCHES:]),
        "1 of 72 clips are not in the table: blues/blues.99999.au",
    ),
    "a clip of another genre": (
        with_ids(lambda ids: ["rock/blues.00000.au"] * PATCHES + ids[PATCHES:]),
        "1 of 72 clips are not in the table: rock/blues.00000.au",
    ),
    "pickled objects": (changed(IDS=arrays()["IDS"].astype(object)), "pickled objects"),
    "no train clip": (arrays(only("valid", "test")), "no row that says train"),
    "a genre without train clips": (
        arrays(lambda genre, song: genre != "jazz" or SIDES[song] == "test"),
        "no train row of jazz",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_and_ends_with_code_2(
    case: str, quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD[case]
    where = tmp_path / "figures.json"
    assert command(write(content, tmp_path), quick, tmp_path, "--json", str(where)) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not where.exists()


@pytest.mark.parametrize("what", ["truncated", "damaged", "one array", "text", "empty", "nowhere"])
def test_what_is_no_npz_is_named_and_ends_with_code_2(
    what: str, quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(arrays(), tmp_path)
    content = bytearray(path.read_bytes())
    if what == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif what == "damaged":
        content[2000:2100] = bytes(100)
        path.write_bytes(content)
    elif what == "one array":
        with path.open("wb") as file:
            np.save(file, arrays()["X"])
    elif what in ("text", "empty"):
        path.write_text("blues, jazz, rock" if what == "text" else "")
    else:
        path.unlink()
    assert command(path, quick, tmp_path) == 2
    assert re.search("tags.npz: (cannot be read|one array|no such file)", capsys.readouterr().err)


# The files themselves


@pytest.mark.real_audio
@pytest.mark.slow
def test_tags_tell_genres_apart_far_better_than_the_57_columns(
    project: Path, shared_data: Path
) -> None:
    rows = read(shared_data / "gtzan_features_30s_dev.csv")
    tags = read_taggrams(shared_data / "gtzan_msd_musicnn_taggrams_dev.npz")
    params = load_params(project / "params.yaml")
    found = compute(rows, params, ("lda",), "fault_filtered", None, tags)
    assert found["rows"] == {"train": 443}
    held_out = {name: one["held_out"]["accuracy"] for name, one in found["models"].items()}
    assert held_out["report lda"] > 0.6
    assert held_out["musicnn lda"] > 0.8
    assert held_out[found["selected"]] > 0.81
