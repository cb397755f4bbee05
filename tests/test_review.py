"""The step review: one table and one page of songs to review."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from songs import RATE, tone, write

from genre import evaluation
from genre.collection.catalogue import OK
from genre.core.errors import InputError
from genre.core.files import write_parquet
from genre.core.messages import command
from genre.core.params import Params, load_params
from genre.review import COLUMNS
from tasks import ingest, review, trim
from tasks.io import paths

DUPLICATES = ["track_id", "duplicate_group", "other", "similarity", "offset_s"]


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """Jazz and rock, one song of static, one exact copy under another genre, one broken file."""
    root = tmp_path_factory.mktemp("collection")
    raw = root / "data/raw"
    for genre, first in (("jazz", 0), ("rock", 10)):
        for song in range(4):
            write(raw / genre / f"{genre}{song}.wav", tone(6.0, seed=first + song))
    write(raw / "rock/it's long.wav", tone(50.0, seed=99))
    static = 0.1 * np.random.default_rng(0).standard_normal((RATE * 9, 1))
    write(raw / "jazz/static.wav", static.astype(np.float32))
    shutil.copy(raw / "jazz/jazz0.wav", raw / "rock/copy.wav")
    (raw / "rock/broken.mp3").write_text("no music")
    ingest.run(params, root)
    trim.run(params, root)
    return root


def songs_of(root: Path) -> pd.DataFrame:
    catalogue = pd.read_parquet(root / paths.CATALOGUE)
    return catalogue[catalogue["status"] == OK].set_index("path")


def write_tables(
    root: Path, *, jazz: dict[str, float] | None = None, same: tuple[tuple[str, ...], ...] = ()
) -> None:
    """Held-out predictions, near-duplicates and a split.

    Songs have their own genre at 0.9, or the share of jazz that `jazz` says by path; `same` are
    groups of near-duplicates by path.
    """
    songs = songs_of(root)
    rows, shares = [], []
    for path, song in songs.iterrows():
        share = (jazz or {}).get(str(path), 0.9 if song["genre"] == "jazz" else 0.1)
        for segment in range(10):
            rows.append((song["track_id"], segment, song["track_id"], "train", song["genre"]))
            shares.append(share - 0.01 * (segment == 4))  # segment 4 sounds least of jazz
    keys = pd.DataFrame(rows, columns=["track_id", "segment", "group", "subset", "genre"])
    proba = np.column_stack([shares, 1 - np.array(shares)])
    out_of_fold = evaluation.make(keys, proba, ("jazz", "rock"), "svm")
    write_parquet(root / paths.HELD_OUT, out_of_fold)
    write_parquet(root / paths.SPLIT, keys.drop_duplicates("track_id"))
    pairs = [
        (songs.loc[path, "track_id"], group[0], songs.loc[group[0], "track_id"], 0.97, 1.5)
        for group in same
        for path in group
    ]
    write_parquet(root / paths.DUPLICATES, pd.DataFrame(pairs, columns=DUPLICATES))


def read(root: Path) -> tuple[pd.DataFrame, str]:
    return pd.read_csv(root / "reports/review.csv"), (root / "reports/review.md").read_text()


def test_a_wrong_label_is_listed_with_the_time_to_play_and_the_command(
    collected: Path, params: Params
) -> None:
    write_tables(collected, jazz={"rock/it's long.wav": 0.95, "jazz/jazz1.wav": 0.05})

    review.run(params, collected)

    table, page = read(collected)
    assert list(table.columns) == list(COLUMNS)
    labels = table[table["kind"] == "label"].set_index("path")
    assert list(labels.index) == ["jazz/jazz1.wav", "rock/it's long.wav"]
    # The clip is the middle of 50 s, from 10 s on; segment 0 sounds most of jazz, 4 least.
    long, short = labels.loc["rock/it's long.wav"], labels.loc["jazz/jazz1.wav"]
    assert long[["start_s", "end_s"]].tolist() == [10.0, 13.0]
    assert short["start_s"] == 12.0
    assert long["what"] == "predicted jazz (0.95) rather than rock (0.05)"
    assert long["suggestion"] == "relabel to jazz"
    assert long["score"] == pytest.approx(0.898)
    assert "0:10–0:13" in page
    assert command("genre relabel 'rock/it'\"'\"'s long.wav' jazz") in page.splitlines()


def test_the_commands_run_as_pasted(
    collected: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no .venv is: the programs have absolute paths
    write_tables(collected, jazz={"rock/it's long.wav": 0.95})
    review.run(params, collected)
    root = shutil.copytree(collected, tmp_path / "project")
    shutil.copy(Path(__file__).parent.parent / "params.yaml", root)
    (pasted,) = [line for line in read(collected)[1].splitlines() if " relabel " in line]

    subprocess.run(pasted, shell=True, cwd=root, check=True)

    assert (root / "data/raw/jazz/it's long.wav").is_file()


def test_a_clip_of_static_is_listed_and_music_is_not(collected: Path, params: Params) -> None:
    write_tables(collected)

    review.run(params, collected)

    table, page = read(collected)
    noise = table[table["kind"] == "noise"]
    assert noise["path"].tolist() == ["jazz/static.wav"]
    assert noise[["score", "start_s", "end_s"]].to_numpy().tolist() == [[1.0, 0.0, 9.0]]
    assert noise["what"].item() == "noise in 9 s of 9 s"
    assert command("genre remove jazz/static.wav") in page.splitlines()


def test_near_duplicates_are_listed_all_but_the_longest(collected: Path, params: Params) -> None:
    write_tables(collected, same=(("rock/rock1.wav", "rock/it's long.wav"),))

    review.run(params, collected)

    table, page = read(collected)
    duplicates = table[table["kind"] == "duplicate"]
    assert duplicates["path"].tolist() == ["rock/rock1.wav"]
    assert duplicates["suggestion"].item() == "keep rock/it's long.wav, remove this"
    assert duplicates["score"].item() == pytest.approx(0.97)
    assert "nearly the same recording as rock/it's long.wav" in page


def test_a_recording_under_two_genres_is_a_label_problem(collected: Path, params: Params) -> None:
    write_tables(collected, same=(("rock/rock1.wav", "jazz/jazz1.wav"),))

    review.run(params, collected)

    table, page = read(collected)
    both = table[table["kind"] == "two genres"].set_index("path")
    assert list(both.index) == ["rock/rock1.wav", "rock/copy.wav"]
    assert both.loc["rock/rock1.wav", "what"] == (
        "the recording is also filed under jazz, as jazz/jazz1.wav"
    )
    # The exact copy was set aside by ingest; it is listed once.
    assert both.loc["rock/copy.wav", "what"] == (
        "the recording is also filed under jazz, as jazz/jazz0.wav"
    )
    aside = table[table["kind"] == "set aside"]
    assert aside["path"].tolist() == ["rock/broken.mp3"]
    assert aside["what"].item() == "is not audio in any known format"
    assert aside[["score", "start_s", "end_s"]].isna().all(axis=None)
    assert "No near-duplicates were found." in page


def test_each_pair_of_one_recording_is_named_once(collected: Path, params: Params) -> None:
    group = ("jazz/jazz1.wav", "rock/rock1.wav", "rock/rock2.wav", "jazz/jazz2.wav")
    write_tables(collected, same=(group,))

    review.run(params, collected)

    table, _ = read(collected)
    both = table[table["kind"] == "two genres"].set_index("path")["what"]
    assert both.drop("rock/copy.wav").to_dict() == {
        "jazz/jazz2.wav": "nearly the same recording as jazz/jazz1.wav",
        "rock/rock1.wav": "the recording is also filed under jazz, as jazz/jazz1.wav and "
        "jazz/jazz2.wav",
        "rock/rock2.wav": "the recording is also filed under jazz, as jazz/jazz1.wav and "
        "jazz/jazz2.wav",
    }


def test_an_empty_list_is_reported_as_empty(collected: Path, params: Params) -> None:
    write_tables(collected)

    summary = review.run(params, collected)

    _, page = read(collected)
    assert "No label is suspected." in page
    assert "which agree for 100 %" in page
    assert summary.startswith(
        "to review: 1 recording in several genres, 1 noisy clip, 1 file set aside; see reports/"
    )


def test_the_page_shows_rows_shown_songs_and_counts_the_rest(
    collected: Path, params: Params
) -> None:
    write_tables(collected, jazz={"rock/it's long.wav": 0.95, "jazz/jazz1.wav": 0.05})
    few = params.review.model_copy(update={"rows_shown": 1})

    review.run(params.model_copy(update={"review": few}), collected)

    table, page = read(collected)
    assert (table["kind"] == "label").sum() == 2
    assert page.count("genre relabel ") == 1
    assert "… and 1 more in `review.csv`." in page


def test_the_same_songs_give_the_same_bytes_and_nothing_is_measured_again(
    collected: Path, params: Params
) -> None:
    write_tables(collected, jazz={"jazz/jazz1.wav": 0.05})
    written = []
    for workers in (1, 2):
        compute = params.compute.model_copy(update={"workers": workers})
        summary = review.run(params.model_copy(update={"compute": compute}), collected)
        written.append(
            [(collected / f"reports/review.{kind}").read_bytes() for kind in ("csv", "md")]
        )

    assert written[0] == written[1]
    assert summary.endswith("(0 computed, 10 reused)")


def test_the_collection_is_not_changed(collected: Path, params: Params) -> None:
    write_tables(collected, jazz={"jazz/jazz1.wav": 0.05})
    before = {path: path.stat().st_mtime_ns for path in (collected / "data").rglob("*")}

    review.run(params, collected)

    assert {path: path.stat().st_mtime_ns for path in (collected / "data").rglob("*")} == before


def test_a_missing_table_names_the_step_that_makes_it(collected: Path, params: Params) -> None:
    write_tables(collected)
    for path, stage in ((paths.HELD_OUT, "select"), (paths.DUPLICATES, "duplicates")):
        away = (collected / path).rename(collected / "away")
        with pytest.raises(InputError, match=f"run the step {stage} first"):
            review.run(params, collected)
        away.rename(collected / path)


def test_tables_of_another_collection_are_refused(collected: Path, params: Params) -> None:
    write_tables(collected)
    out_of_fold = pd.read_parquet(collected / paths.HELD_OUT)
    out_of_fold["track_id"] = out_of_fold["track_id"].str[::-1]
    write_parquet(collected / paths.HELD_OUT, out_of_fold)

    with pytest.raises(InputError, match="run the step select again"):
        review.run(params, collected)


def test_a_name_with_markdown_in_it_is_shown_as_it_is() -> None:
    from genre.review import collect, page

    row = dict.fromkeys(COLUMNS)
    row |= {"kind": "noise", "path": "-rock/a|b_*`.wav", "genre": "-rock", "what": "noise"}

    text = " ".join(page(collect([row]), scope="Two songs.", rows_shown=5).split())

    assert r"| -rock/a\|b\_\*\`.wav | noise |" in text
    assert command("genre remove -- '-rock/a|b_*`.wav'") in text
