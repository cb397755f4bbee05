"""New songs in the step evaluate: who is new, how they are predicted, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from ensembles import GENRES, ensemble, mlp
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)
from songs import RATE, tone, write

from genre.core.errors import InputError
from genre.core.files import write_parquet
from genre.core.params import Params, load_params
from tasks import ingest
from tasks.io import new_songs, paths

REPORT = paths.NEW_SONGS_REPORT
SIDES = ("train", "train", "validation", "test")
LONG = 12.0  # seconds


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    found = load_params(project / "params.yaml")
    evaluate = found.evaluate.model_copy(update={"bootstrap_samples": 200})
    return found.model_copy(update={"evaluate": evaluate})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """Three genres of four songs, by an artist each, two of which train; a made classifier."""
    root = tmp_path_factory.mktemp("trained")
    raw = root / paths.RAW
    rows = []
    for number, genre in enumerate(GENRES):
        for song in range(len(SIDES)):
            write(raw / genre / f"{genre}{song}.wav", tone(LONG, seed=10 * number + song))
            rows.append({"path": f"{genre}/{genre}{song}.wav", "artist": f"{genre} artist {song}"})
    pd.DataFrame(rows).to_csv(raw / "manifest.csv", index=False)
    ingest.run(params, root)
    table = pd.read_parquet(root / paths.CATALOGUE)
    split = table[["track_id"]].assign(
        segment=pd.array([pd.NA] * len(table), dtype="Int64"),
        group=table["track_id"],
        subset=[SIDES[int(path[-5])] for path in table["path"]],
    )
    split.attrs = {"settings": {"protocol": "song"}, "artist_leak": []}
    write_parquet(root / paths.SPLIT, split)
    ensemble(mlp()).save(root / paths.CLASSIFIER)
    (root / paths.NEW_SONGS).mkdir()
    (root / paths.NEW_SONGS / "README.md").write_text("put songs here")
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    """A copy of the project without new songs; the cache is kept."""
    return shutil.copytree(trained, tmp_path / "project")


def add(root: Path, songs: dict[str, int]) -> Path:
    """New songs by path, each from its seed."""
    for path, seed in songs.items():
        write(root / paths.NEW_SONGS / path, tone(LONG, seed=seed))
    return root / paths.NEW_SONGS


def manifest(folder: Path, **artists: str) -> None:
    """Say whose songs they are; a dot in a path is written as it is by the caller."""
    rows = [{"path": path, "artist": artist} for path, artist in artists.items()]
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)


def run(params: Params, root: Path, folder: Path | str | None = None) -> tuple[str, dict]:
    if folder is not None:
        evaluate = params.evaluate.model_copy(update={"new_songs": str(folder)})
        params = params.model_copy(update={"evaluate": evaluate})
    output = new_songs.run(params, root)
    return output, json.loads((root / REPORT / "metrics.json").read_text())


def left_out(root: Path) -> dict[str, str]:
    table = pd.read_csv(root / REPORT / "excluded.csv")
    return dict(zip(table["path"], table["kind"], strict=True))


def read_predictions(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / REPORT / "predictions.parquet")


SIX = {
    f"{genre}/{genre} {letter}.flac": 100 + 7 * n + m
    for n, genre in enumerate(GENRES)
    for m, letter in enumerate("ab")
}


@pytest.fixture(scope="module")
def evaluated(
    trained: Path, params: Params, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, dict]:
    """Six new songs, evaluated: the project, the summary line and the metrics."""
    root = shutil.copytree(trained, tmp_path_factory.mktemp("answered") / "project")
    add(root, SIX)
    return root, *run(params, root)


def test_the_scores_are_scikit_learns_for_samples_and_for_songs(
    evaluated: tuple[Path, str, dict],
) -> None:
    root, output, metrics = evaluated
    table = read_predictions(root)
    assert len(table) == 60
    assert table.groupby("track_id")["segment"].apply(list).map(len).eq(10).all()
    assert table["start_s"].between(0, LONG - 3).all()
    proba = table[[f"p_{genre}" for genre in GENRES]].to_numpy()
    guess = np.array(GENRES)[proba.argmax(axis=1)]
    truth = table["genre"]
    macro = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": accuracy_score(truth, guess),
        "precision_macro": precision_score(truth, guess, **macro),
        "recall_macro": recall_score(truth, guess, **macro),
        "f1_macro": f1_score(truth, guess, **macro),
        "top3_accuracy": top_k_accuracy_score(truth, proba, k=3, labels=list(GENRES))
        if len(GENRES) > 3
        else 1.0,
        "n": 60,
    }
    found = metrics["segment"]
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["ci95"][0] <= found["accuracy"] <= found["ci95"][1]
    assert (metrics["songs"], metrics["song"]["n"], metrics["samples_of_a_song"]) == (6, 6, 10)
    counts = confusion_matrix(truth, guess, labels=list(GENRES))
    for number, genre in enumerate(GENRES):
        scores = metrics["genres"]["segment"][genre]
        assert (scores["n"], scores["predicted"]) == (20, counts[:, number].sum())
    assert "of 6 new songs right" in output
    assert "of 60 samples" in output


def test_a_songs_prediction_is_the_calibrated_mean_of_its_samples(
    evaluated: tuple[Path, str, dict],
) -> None:
    root, _, _ = evaluated
    table = read_predictions(root)
    names = [f"p_{genre}" for genre in GENRES]
    songs = pd.read_csv(root / REPORT / "songs.csv").set_index("path")
    assert list(songs.index) == sorted(SIX)
    classifier = ensemble(mlp())
    expected = sorted(
        tuple(np.round(np.sort(classifier.song(rows.to_numpy()))[::-1], 4))
        for _, rows in table.groupby("track_id")[names]
    )
    found = sorted(tuple(row) for row in songs[["p_first", "p_second", "p_third"]].to_numpy())
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.slow
def test_adding_songs_changes_nothing_for_the_others(
    evaluated: tuple[Path, str, dict], params: Params, tmp_path: Path
) -> None:
    root = shutil.copytree(evaluated[0], tmp_path / "project")
    before = read_predictions(root)
    add(root, {"blues/more.flac": 900, "rock/more.flac": 901})

    output, _ = run(params, root)

    after = read_predictions(root)
    same = after[after["track_id"].isin(before["track_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, before)
    assert "2 computed, 6 reused" in output


@pytest.mark.slow
def test_the_same_songs_give_the_same_bytes(
    evaluated: tuple[Path, str, dict], params: Params, root: Path
) -> None:
    before = {path.name: path.read_bytes() for path in (evaluated[0] / REPORT).iterdir()}
    add(root, SIX)
    one = params.compute.model_copy(update={"workers": 1})

    run(params.model_copy(update={"compute": one}), root)

    assert {path.name: path.read_bytes() for path in (root / REPORT).iterdir()} == before
    assert set(before) == {
        "confusion_segments.png",
        "confusion_songs.png",
        "excluded.csv",
        "metrics.json",
        "predictions.parquet",
        "songs.csv",
    }


@pytest.mark.slow
def test_songs_seen_in_training_are_excluded_and_counted(
    root: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = add(root, {"rock/new.wav": 200, "jazz/artist.wav": 201, "blues/new.wav": 202})
    raw = root / paths.RAW
    shutil.copy(raw / "jazz/jazz0.wav", folder / "jazz/file.wav")
    y, _ = soundfile.read(raw / "rock/rock1.wav", dtype="float32")
    write(folder / "rock/audio.flac", y, subtype="PCM_16")
    write(folder / "blues/louder.ogg", 1.5 * soundfile.read(raw / "blues/blues2.wav")[0])
    shutil.copy(raw / "rock/rock3.wav", folder / "rock/a song of test.wav")
    rows = {"jazz/artist.wav": "  JAZZ  Artist 2", "blues/new.wav": "blues artist 3"}
    manifest(folder, **rows)

    output, metrics = run(params, root)

    assert left_out(root) == {
        "jazz/file.wav": "same_file",
        "rock/audio.flac": "same_audio",
        "blues/louder.ogg": "same_recording",
        "jazz/artist.wav": "same_artist",
    }
    assert metrics["excluded"] == {
        "same_file": 1,
        "same_audio": 1,
        "same_recording": 1,
        "same_artist": 1,
    }
    # Test songs and their artists taught the classifier nothing.
    assert metrics["songs"] == 3
    assert "4 seen in training, 0 set aside" in output
    printed = capsys.readouterr().out
    assert "excluded: jazz/file.wav is the training song jazz/jazz0.wav" in printed
    reasons = pd.read_csv(root / REPORT / "excluded.csv").set_index("path")["reason"]
    assert reasons["jazz/artist.wav"] == (
        "is by the same artist as the training song jazz/jazz2.wav"
    )


@pytest.mark.slow
def test_broken_short_silent_and_repeated_songs_are_set_aside(root: Path, params: Params) -> None:
    folder = add(root, {"rock/new.wav": 200})
    shutil.copy(folder / "rock/new.wav", folder / "rock/twice.wav")
    write(folder / "jazz/short.wav", tone(2.5))
    write(folder / "jazz/silent.wav", np.zeros((RATE * 5, 1), np.float32))
    (folder / "jazz/broken.mp3").write_text("no music")
    lower = params.ingest.model_copy(update={"min_seconds": 1.0})

    _, metrics = run(params.model_copy(update={"ingest": lower}), root)

    assert left_out(root) == dict.fromkeys(
        ["jazz/broken.mp3", "jazz/short.wav", "jazz/silent.wav", "rock/twice.wav"], "set_aside"
    )
    assert (metrics["songs"], metrics["excluded"]) == (1, {"set_aside": 4})


def test_the_songs_of_an_artist_are_drawn_together(
    evaluated: tuple[Path, str, dict], params: Params, tmp_path: Path
) -> None:
    root = shutil.copytree(evaluated[0], tmp_path / "project")
    manifest(root / paths.NEW_SONGS, **dict.fromkeys(list(SIX)[:4], "The Same"))

    _, metrics = run(params, root)

    assert (metrics["songs"], metrics["groups"]) == (6, 3)
    table = read_predictions(root)
    assert table["group"].nunique() == 3


@pytest.mark.slow
def test_without_an_unseen_song_nothing_is_scored(root: Path, params: Params) -> None:
    folder = root / paths.NEW_SONGS
    shutil.copytree(root / paths.RAW / "jazz", folder / "jazz")
    (folder / "jazz/jazz3.wav").unlink()

    output, metrics = run(params, root)

    assert output.startswith("no new song is unseen: 3 seen in training, 0 set aside")
    assert (metrics["songs"], metrics["excluded"]) == (0, {"same_file": 3})
    assert sorted(p.name for p in (root / REPORT).iterdir()) == ["excluded.csv", "metrics.json"]


def test_the_default_folder_may_be_empty(root: Path, params: Params) -> None:
    output, metrics = run(params, root)

    assert output == ""
    assert metrics == {"songs": 0}


@pytest.mark.slow
def test_a_folder_elsewhere_is_found_by_its_absolute_path(
    root: Path, params: Params, tmp_path: Path
) -> None:
    write(tmp_path / "mine" / "rock" / "song.wav", tone(LONG, seed=300))

    _, metrics = run(params, root, tmp_path / "mine")

    assert metrics["songs"] == 1


def test_another_folder_must_be_there_and_have_songs(
    root: Path, params: Params, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "flat" / "song.wav", tone(LONG))

    with pytest.raises(InputError, match=r"nowhere: no such folder; evaluate\.new_songs"):
        run(params, root, tmp_path / "nowhere")
    with pytest.raises(InputError, match="empty: found no songs in genre folders"):
        run(params, root, tmp_path / "empty")
    with pytest.raises(InputError, match="flat: found no songs in genre folders"):
        run(params, root, tmp_path / "flat")


def test_an_unknown_genre_is_refused_before_any_song_is_decoded(
    root: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    add(root, {"rock/song.wav": 1, "Jaz-z/song.wav": 2, "polka/song.wav": 3})

    with pytest.raises(
        InputError,
        match=r"genres Jaz-z, polka, which the classifier was not trained on; expected folders "
        r"named "
        r"blues, jazz, rock \(did you mean jazz for Jaz-z\?\); rename or remove",
    ):
        run(params, root)

    assert "new songs" not in capsys.readouterr().err
    assert not (root / REPORT).exists()


def test_a_manifest_with_a_missing_song_is_refused(root: Path, params: Params) -> None:
    folder = add(root, {"rock/one song.wav": 1})
    manifest(folder, **{"rock/one snog.wav": "Somebody"})

    with pytest.raises(
        InputError,
        match=r"manifest\.csv: found rock/one snog\.wav, expected songs in genre folders .*"
        r"did you mean rock/one song\.wav for rock/one snog\.wav",
    ):
        run(params, root)


def test_without_a_classifier_the_step_refuses(root: Path, params: Params) -> None:
    shutil.rmtree(root / paths.CLASSIFIER)

    with pytest.raises(InputError, match="no classifier here"):
        run(params, root)
