"""The step train: reads features and split, writes one model's folder, refuses what cannot work."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from params_file import with_families

from genre import evaluation
from genre.core.errors import InputError, ParameterError
from genre.core.files import write_parquet
from genre.core.params import Params, load_params
from genre.features.extended import NAMES
from genre.models import load_model
from tasks import train

GENRES = ("blues", "jazz", "rock")
COLUMNS = ("rms_mean", "tempo", "mfcc1_mean")
SIDES = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2


@pytest.fixture
def params(project: Path) -> Params:
    params = with_families(load_params(project / "params.yaml"), "report")
    mlp = params.train.mlp.model_copy(
        update={"hidden": [8], "learning_rate": 0.01, "max_epochs": 5, "batch_size": 16}
    )
    small = params.train.model_copy(update={"mlp": mlp, "folds": 3})
    compute = params.compute.model_copy(update={"workers": 1})
    return params.model_copy(update={"train": small, "compute": compute})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with ten songs a genre, ten segments a song."""
    generator = np.random.default_rng(0)
    songs = [
        {"track_id": f"{genre}{number}", "genre": genre, "segment": segment}
        for genre in GENRES
        for number in range(10)
        for segment in range(10)
    ]
    features = pd.DataFrame(songs).assign(start_s=lambda table: table["segment"] * 3.0)
    place = features["genre"].map({genre: n for n, genre in enumerate(GENRES)}).to_numpy()
    for column in COLUMNS:
        features[column] = generator.normal(place, 0.3, len(features)) + 10
    folder = tmp_path / "data" / "features" / "report" / "3s"
    folder.mkdir(parents=True)
    features.to_parquet(folder / "part-0.parquet", index=False)
    tracks = features["track_id"].unique()
    split = pd.DataFrame({"track_id": tracks, "group": tracks, "subset": SIDES * 3})
    split.insert(1, "segment", pd.array([pd.NA] * len(split), dtype="Int64"))
    split.to_parquet(tmp_path / "data" / "split.parquet", index=False)
    return tmp_path


def change(root: Path, name: str, table: pd.DataFrame) -> None:
    path = root / "data" / name
    table.to_parquet(path / "part-0.parquet" if path.is_dir() else path, index=False)


def features_of(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / "data" / "features" / "report" / "3s")


def split_of(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / "data" / "split.parquet")


def test_it_writes_the_model_its_settings_and_its_curves(params: Params, root: Path) -> None:
    summary = train.run(params, root, "mlp")
    folder = root / "models" / "mlp"
    assert sorted(path.name for path in folder.iterdir()) == [
        "held_out.parquet",
        "history.csv",
        "model.json",
        "weights.safetensors",
    ]
    model = load_model(folder)
    assert (model.classes, model.features) == (GENRES, COLUMNS)
    history = pd.read_csv(folder / "history.csv")
    assert list(history) == ["epoch", "subset", "loss", "accuracy"]
    assert summary.startswith("mlp: trained on 180 segments (best epoch ")
    assert summary.endswith("% (24 songs)")


def test_it_writes_out_of_fold_predictions(params: Params, root: Path) -> None:
    train.run(params, root, "mlp")
    table = pd.read_parquet(root / "models" / "mlp" / "held_out.parquet")
    evaluation.validate(table)
    split = split_of(root)
    request = split.loc[split["subset"].isin(["train", "validation"]), "track_id"]
    assert set(table["track_id"]) == set(request)
    assert len(table) == 240
    songs = evaluation.by_song(table)
    assert (evaluation.predicted(songs) == songs["genre"]).mean() > 0.6


def test_the_baseline_is_not_trained_if_mlp_is_the_same(params: Params, root: Path) -> None:
    summary = train.run(params, root, "report_mlp")

    assert "skipped: the only feature family is report" in summary
    assert list((root / "models/report_mlp").iterdir()) == []


def test_the_baseline_is_trained_on_the_reports_columns_only(params: Params, root: Path) -> None:
    train.run(params, root, "mlp")
    keys = features_of(root)[["track_id", "genre", "segment", "start_s"]]
    others = pd.DataFrame(1.0, index=keys.index, columns=list(NAMES))
    target = root / "data/features/extended/3s/part-0.parquet"
    write_parquet(target, pd.concat([keys, others], axis=1))
    settings = params.train.model_copy(update={"report_mlp": params.train.mlp})
    chosen = with_families(params, "report", "extended", train=settings)

    train.run(chosen, root, "report_mlp")

    assert load_model(root / "models/report_mlp").features == COLUMNS
    expected, found = (
        pd.read_parquet(root / "models" / name / "held_out.parquet").drop(columns="model")
        for name in ("mlp", "report_mlp")
    )
    pd.testing.assert_frame_equal(found, expected)


def test_two_runs_write_the_same_bytes(params: Params, root: Path) -> None:
    folders = []
    for _ in range(2):
        train.run(params, root, "mlp")
        folders.append({p.name: p.read_bytes() for p in (root / "models" / "mlp").iterdir()})
    assert folders[0] == folders[1]


def test_rows_of_test_and_excluded_change_nothing(params: Params, root: Path) -> None:
    # given a training
    train.run(params, root, "mlp")
    weights = (root / "models" / "mlp" / "weights.safetensors").read_bytes()
    # when the songs of test sound otherwise, and one of them is excluded
    features, split = features_of(root), split_of(root)
    tested = split.loc[split["subset"] == "test", "track_id"]
    features.loc[features["track_id"].isin(tested), "tempo"] += 1000
    change(root, "features/report/3s", features)
    split.loc[split["track_id"] == tested.iloc[0], "subset"] = "excluded"
    change(root, "split.parquet", split)
    train.run(params, root, "mlp")
    # then the weights are the same
    assert (root / "models" / "mlp" / "weights.safetensors").read_bytes() == weights


def test_validation_rows_do_not_reach_the_scaling(params: Params, root: Path) -> None:
    features, split = features_of(root), split_of(root)
    out_of_fold = split.loc[split["subset"] == "validation", "track_id"]
    features.loc[features["track_id"].isin(out_of_fold), "tempo"] += 1000
    change(root, "features/report/3s", features)
    train.run(params, root, "mlp")
    scaling = load_model(root / "models" / "mlp").arrays()["scaler.mean"]
    assert scaling[COLUMNS.index("tempo")] == pytest.approx(11, abs=0.2)


def test_a_split_by_segment_is_followed_segment_by_segment(params: Params, root: Path) -> None:
    features = features_of(root)
    split = features[["track_id", "segment"]].astype({"segment": "Int64"})
    split["group"] = split["track_id"]
    split["subset"] = np.where(split["segment"] < 7, "train", "validation")
    change(root, "split.parquet", split)
    assert train.run(params, root, "mlp").startswith("mlp: trained on 210 segments")


def test_segments_of_appended_silence_are_left_out(params: Params, root: Path) -> None:
    features = features_of(root)
    padded = (features["track_id"] == "blues0") & (features["segment"] >= 4)
    features.loc[padded, list(COLUMNS)] = 0.0
    change(root, "features/report/3s", features)
    assert train.run(params, root, "mlp").startswith("mlp: trained on 174 segments")


def test_an_excluded_genre_is_not_a_class(params: Params, root: Path) -> None:
    split = split_of(root)
    split.loc[split["track_id"].str.startswith("rock"), "subset"] = "excluded"
    change(root, "split.parquet", split)
    train.run(params, root, "mlp")
    assert load_model(root / "models" / "mlp").classes == ("blues", "jazz")


def test_a_song_without_features_is_named_and_left_out(
    params: Params, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = features_of(root)
    change(root, "features/report/3s", features[features["track_id"] != "jazz3"])
    assert train.run(params, root, "mlp").startswith("mlp: trained on 170 segments")
    assert "no features: jazz3 is left out" in capsys.readouterr().out


@pytest.mark.parametrize("subset", ["train", "validation"])
def test_a_genre_without_a_song_in_a_subset_is_refused_and_nothing_is_written(
    params: Params, root: Path, subset: str
) -> None:
    split = split_of(root)
    lost = split["track_id"].str.startswith("jazz") & (split["subset"] == subset)
    split.loc[lost, "subset"] = "test"
    change(root, "split.parquet", split)
    with pytest.raises(InputError, match=f"no {subset} song of jazz; add songs"):
        train.run(params, root, "mlp")
    assert not (root / "models").exists()


def test_features_that_are_not_finite_are_refused(params: Params, root: Path) -> None:
    features = features_of(root)
    features.loc[4, "tempo"] = np.nan
    change(root, "features/report/3s", features)
    with pytest.raises(InputError, match="not finite in tempo"):
        train.run(params, root, "mlp")


def test_songs_that_are_not_in_the_split_are_refused(params: Params, root: Path) -> None:
    change(root, "split.parquet", split_of(root).iloc[1:])
    with pytest.raises(InputError, match=r"1 songs of .* are missing, blues0 first"):
        train.run(params, root, "mlp")


def test_files_of_two_collections_are_refused(params: Params, root: Path) -> None:
    change(root, "features/report/3s", features_of(root).iloc[:50])
    with pytest.raises(InputError, match=r"25 songs of .* are missing"):
        train.run(params, root, "mlp")


@pytest.mark.parametrize(
    ("path", "stage"), [("data/features/report/3s", "features"), ("data/split.parquet", "split")]
)
def test_an_absent_input_names_the_step_to_run(
    params: Params, root: Path, path: str, stage: str
) -> None:
    (root / path).rename(root / "elsewhere")
    with pytest.raises(InputError, match=f"dvc repro {stage}"):
        train.run(params, root, "mlp")


def test_an_unknown_model_is_refused_before_anything_is_read(
    params: Params, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match="did you mean mlp"):
        train.run(params, tmp_path / "nowhere", "mpl")


def test_a_log_gets_a_line_every_few_seconds(
    params: Params,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("genre.core.progress.LINE_SECONDS", 0.0)
    train.run(params, root, "mlp")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mlp: epoch 1 of at most 5, validation loss ")
    assert lines[-1] == f"mlp: cross-validation, fold {params.train.folds} of {params.train.folds}"


def test_the_step_ends_with_two_on_an_unknown_name(
    monkeypatch: pytest.MonkeyPatch, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["train", "mpl"])
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 2
    assert "did you mean mlp" in capsys.readouterr().err
