"""The comparison of protocols: every number of the page is measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from params_file import with_families as choose

from benchmarks.report import families, family_page, measure, page
from benchmarks.report.__main__ import shown
from benchmarks.report.names import NAMES
from genre.core.files import write_parquet
from genre.core.params import Params, load_params
from genre.features.families import FAMILIES
from tasks.io import inputs, paths
from tasks.io.families import section

pytestmark = pytest.mark.slow

GENRES = ("blues", "jazz", "pop", "rock")
COLUMNS = ("rms_mean", "tempo", "mfcc1_mean")


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    params = choose(load_params(project / "params.yaml"), "report")
    mlp = params.train.mlp.model_copy(update={"hidden": [8], "max_epochs": 20})
    draws = params.evaluate.model_copy(update={"bootstrap_samples": 100})
    small = params.train.model_copy(update={"mlp": mlp})
    return params.model_copy(update={"train": small, "evaluate": draws})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared project: twelve songs per genre by four artists, but by one in pop.

    Features tell songs apart better than genres, so that leaked pieces of songs help.
    """
    random = np.random.default_rng(0)
    songs = pd.DataFrame(
        {
            "track_id": [f"{genre}{number:02d}" for genre in GENRES for number in range(12)],
            "genre": np.repeat(GENRES, 12),
        }
    )
    number = songs.groupby("genre").cumcount()
    songs["artist"] = songs["genre"] + " band " + (number % 4).astype(str)
    songs.loc[songs["genre"] == "pop", "artist"] = "the one"
    songs["path"] = songs["genre"] + "/" + songs["track_id"] + ".wav"
    facts = {"status": "ok", "duplicate_of": None, "source": "made in the test"}
    write_parquet(tmp_path / paths.CATALOGUE, songs.assign(**facts))
    columns = ["track_id", "duplicate_group", "other", "similarity", "offset_s"]
    nothing = pd.DataFrame({name: pd.Series(dtype="str") for name in columns})
    write_parquet(tmp_path / paths.DUPLICATES, nothing)
    features = songs.loc[songs.index.repeat(10), ["track_id", "genre"]].reset_index(drop=True)
    features["segment"] = np.tile(np.arange(10), len(songs))
    features["start_s"] = features["segment"] * 3.0
    place = features["genre"].map({genre: n for n, genre in enumerate(GENRES)}).to_numpy()
    for column in COLUMNS:
        of_song = np.repeat(random.normal(0, 3, len(songs)), 10)
        features[column] = place + of_song + random.normal(0, 0.3, len(features)) + 50
    write_parquet(tmp_path / paths.REPORT_3S / "part-0.parquet", features)
    return tmp_path


def test_every_model_is_measured_under_every_protocol(params: Params, root: Path) -> None:
    found = list(measure.measure(root, params, ["mlp", "lda"]))

    assert [(one.protocol, one.model, one.without) for one in found] == [
        ("segment", "mlp", []),
        ("segment", "lda", []),
        ("song", "mlp", []),
        ("song", "lda", []),
        ("song", "mlp", ["pop"]),
        ("song", "lda", ["pop"]),
        ("artist", "mlp", ["pop"]),
        ("artist", "lda", ["pop"]),
    ]
    assert all(set(one.scores) == {"train", "validation", "test"} for one in found)
    assert all(bool(one.curves) == (one.model == "mlp") for one in found)
    assert len(pd.read_parquet(root / paths.CATALOGUE)) == 48


def test_genres_that_a_protocol_cannot_split_are_excluded(params: Params, root: Path) -> None:
    measure.split_into(root, params, "artist", ["pop"])

    data = inputs.read_data(root, "features_3s", params)

    assert data.classes == ("blues", "jazz", "rock")
    split = pd.read_parquet(root / paths.SPLIT)
    assert set(split.loc[split["track_id"].str.startswith("pop"), "subset"]) == {"excluded"}
    assert split.attrs["settings"]["protocol"] == "artist"


def test_the_residual_network_takes_as_many_steps_where_songs_are_split(params: Params) -> None:
    epochs = params.train.resnet.max_epochs

    assert measure.for_protocol(params.train, "segment").resnet.max_epochs == epochs // 10
    assert measure.for_protocol(params.train, "song") == params.train


def made_up(protocol: str, model: str, accuracy: float, without: list[str]) -> measure.Result:
    level = {"accuracy": accuracy, "f1_macro": accuracy, "ci95": [accuracy - 0.1, 1.0], "n": 40}
    scores = {
        subset: {"segment": level, "song": level} for subset in ("train", "validation", "test")
    }
    curves = [
        {"epoch": epoch, "subset": subset, "loss": 1 / epoch, "accuracy": accuracy}
        for epoch in (1, 2)
        for subset in ("train", "validation")
    ]
    return measure.Result(
        protocol=protocol,
        model=model,
        without=without,
        seconds=3.0,
        scores=scores,
        curves=curves if model == "mlp" else [],
        best_epoch=2 if model == "mlp" else None,
    )


def test_the_page_compares_our_results_with_the_report(tmp_path: Path) -> None:
    results = [
        made_up("segment", "mlp", 0.951, []),
        made_up("song", "mlp", 0.702, []),
        made_up("song", "mlp", 0.733, ["pop"]),
        made_up("artist", "mlp", 0.683, ["pop"]),
        made_up("song", "svm", 0.6, []),
    ]
    (tmp_path / "figures").mkdir()
    for result in results:
        page.draw_curves(tmp_path, "demo", result, synthetic=True)
    rows = [shown(asdict(result)) for result in results]
    found = {"songs": {"jazz": 20, "rock": 20}, "synthetic": True, "results": rows}

    page.write(tmp_path, {"demo": found})

    text = " ".join((tmp_path / "results.md").read_text().split())
    assert set(rows[0]) == {"protocol", "model", "without", "seconds", "scores"}
    assert set(rows[0]["scores"]) == {"validation", "test"}
    assert "| MLP | 84 % | 95.1 % | 70.2 % | 73.3 % | 68.3 % | 3 |" in text
    assert "| RBF-SVM | – | – | 60.0 % | – | – | 3 |" in text
    assert "| MLP | +24.9 | +5.0 |" in text
    assert "40 synthetic demo songs: jazz 20, rock 20." in text
    assert "leaky, for comparison only" in text
    assert "without pop, which have too few artists" in text
    pictures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert pictures == {"leakage_demo.png", "curves_demo_mlp.png"}
    assert all(f"(figures/{name})" in text for name in pictures)


@pytest.fixture
def with_families(root: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with two more families, of which musicnn tells genres apart."""
    random = np.random.default_rng(1)
    rows = pd.read_parquet(root / paths.REPORT_3S)[["track_id", "genre", "segment", "start_s"]]
    place = rows["genre"].map({genre: n for n, genre in enumerate(GENRES)}).to_numpy()
    for name, says in (("extended", 0), ("musicnn", 3)):
        family = FAMILIES[name]
        columns = family.open(section(params, family)).chosen
        values = {one: says * place + random.normal(0, 0.5, len(rows)) for one in columns}
        table = pd.concat([rows, pd.DataFrame(values)], axis=1)
        write_parquet(root / paths.FEATURES / name / "3s/part-0.parquet", table)
    monkeypatch.setattr(families, "COMBINATIONS", (("report",), ("report", "musicnn")))
    monkeypatch.setattr(families, "MODELS", ("lda", "logistic"))
    return root


def test_every_combination_of_families_is_measured_on_the_same_songs(
    params: Params, with_families: Path
) -> None:
    found = list(families.measure(with_families, params, []))

    assert [(one.families, one.model) for one in found if one.model != "vote"] == [
        (["report"], "lda"),
        (["report"], "logistic"),
        (["report", "musicnn"], "lda"),
        (["report", "musicnn"], "logistic"),
    ]
    assert {one.protocol for one in found} == {"song"}  # no column with subsets
    assert [one.columns for one in found if one.model == "lda"] == [3, 253]
    plain, better = (one.held_out for one in found if one.model == "logistic")
    assert plain["n"] == better["n"]
    assert plain["accuracy"] < better["accuracy"]
    assert all(one.bytes > 0 for one in found)
    assert all(set(one.scores) == {"train", "validation", "test"} for one in found)


def test_the_page_shows_the_scores_of_each_combination(params: Params, with_families: Path) -> None:
    results = [asdict(one) for one in families.measure(with_families, params, [])]

    text = " ".join("\n".join(family_page.section(results)).split())

    assert "Protocol **song**, 4 genres, out of fold, by model:" in text
    best = max((one for one in results if len(one["families"]) == 2), key=family_page.rank)
    row = f"| report + musicnn | {NAMES[best['model']]} | {best['held_out']['f1_macro']:.3f} |"
    assert row in text
    assert "may be optimistic" in text
