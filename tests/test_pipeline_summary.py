"""The summary at the end of a run."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from rich.console import Console

from genre.core.errors import InputError
from runner import summary
from tasks.io.outcomes import Outcome

STEPS = ("ingest", "trim", "train@mlp", "evaluate", "register")
LEVEL = {"accuracy": 0.714, "ci95": [0.5714, 0.857], "n": 35}
METRICS = {
    "protocol": "song",
    "artist_leak": ["jazz"],
    "models": {
        "cnn": {"validation": {"song": {**LEVEL, "accuracy": 0.5}}},
        "mlp": {"validation": {"song": LEVEL}, "test": {"song": {**LEVEL, "accuracy": 0.75}}},
    },
    "selected": "mlp",
}
RECEIPT = {
    "name": "music-genre",
    "version": "3",
    "aliases": ["champion"],
    "reason": "better: 0.71 against 0.70",
}


@pytest.fixture
def root(tmp_path):
    """A project in which every step has run, on 24 songs of which 12 are set aside."""
    songs = [
        {
            "path": f"{'blues' if n % 2 else 'rock'}/[{n}] song.wav",
            "genre": "blues" if n % 2 else "rock",
            "source": "my shelf" if n else None,
            "status": "ok" if n < 12 else "set_aside",
            "reason": None if n < 12 else "silent",
        }
        for n in range(24)
    ]
    (tmp_path / "data").mkdir()
    pd.DataFrame(songs).to_parquet(tmp_path / "data/catalogue.parquet", index=False)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns/registered.json").write_text(json.dumps(RECEIPT))
    return tmp_path


def shown(root, outcomes):
    console = Console(file=io.StringIO(), width=120)
    summary.show(outcomes, root, console)
    return console.file.getvalue()


def everything(**changes):
    outcomes = {stage: Outcome(stage, "cached") for stage in STEPS} | changes
    return list(outcomes.values())


def test_each_step_is_shown_with_its_time_or_as_up_to_date(root):
    text = shown(root, everything(ingest=Outcome("ingest", "ran", 185.2, "12 songs")))

    assert "ingest         3 min 05 s 12 songs" in text
    assert "trim           up to date" in text


def test_a_long_line_of_a_step_is_continued_below_itself(root):
    words = "word " * 30

    lines = shown(root, everything(ingest=Outcome("ingest", "ran", 1.0, words))).splitlines()

    (first,) = [number for number, line in enumerate(lines) if "ingest " in line]
    assert lines[first].index("word") == lines[first + 1].index("word") > 30
    assert lines[first + 1].split() == ["word"] * (30 - lines[first].split().count("word"))


def test_songs_are_counted_and_the_first_ten_set_aside_are_named(root):
    text = shown(root, everything())

    assert "12 songs in 2 genres (blues 6, rock 6)" in text
    assert "12 files" in text
    assert "rock/[12] song.wav: silent" in text
    assert "blues/[21] song.wav: silent" in text
    assert "[22]" not in text
    assert "… and 2 more" in text
    assert "synthetic" not in text


def test_a_song_that_the_program_failed_on_is_named_first(root):
    songs = pd.read_parquet(root / "data/catalogue.parquet")
    songs.loc[23, "reason"] = "failed with an unexpected KeyError: 'x' (in genre/audio/song.py:1)"
    songs.to_parquet(root / "data/catalogue.parquet", index=False)

    text = shown(root, everything())

    assert "blues/[23] song.wav: failed with an unexpected KeyError" in text


def test_songs_that_a_later_step_left_out_are_named(root):
    aside = ("data/clips/0a.wav (rock/[2] song.wav) failed with an unexpected KeyError: 'x'",) * 12

    text = shown(root, everything(trim=Outcome("trim", "ran", 1.0, "11 clips", set_aside=aside)))

    assert "Left out    by trim:" in text
    assert text.count("(rock/[2] song.wav) failed with an unexpected KeyError: 'x'") == 10
    assert "… and 2 more" in text


def test_demo_songs_are_called_synthetic(root):
    songs = pd.read_parquet(root / "data/catalogue.parquet")
    songs["source"] = "synthetic demo song (seed 0)"
    songs.to_parquet(root / "data/catalogue.parquet", index=False)

    text = shown(root, everything())

    assert "12 synthetic demo songs in 2 genres" in text
    assert "say nothing about real music" in text


def test_the_selected_model_comes_first_with_its_interval(root):
    text = shown(root, everything())

    first, second, third = (line for line in text.splitlines() if "95 % interval" in line)
    figures = "mlp validation 71.4 % of 35 songs (95 % interval 57.1 to 85.7)"
    assert " ".join(first.split()) == f"Accuracy {figures}"
    assert second.split()[:3] == ["mlp", "test", "75.0"]
    assert third.split()[:3] == ["cnn", "validation", "50.0"]
    assert "too few artists to keep apart in: jazz" in text


def test_intervals_of_validation_and_test_are_compared(root):
    assert "overlap: the difference is within chance" in shown(root, everything())

    metrics = json.loads(json.dumps(METRICS))
    metrics["models"]["mlp"]["test"]["song"] |= {"ci95": [0.9, 1.0]}
    (root / "reports/metrics.json").write_text(json.dumps(metrics))

    text = " ".join(shown(root, everything()).split())
    assert "do not overlap: their songs are by other artists, and 35 songs" in text


def test_without_test_songs_no_intervals_are_compared(root):
    (root / "reports/metrics.json").write_text(json.dumps(METRICS | {"selected": "cnn"}))

    assert "overlap" not in shown(root, everything())


def test_the_baseline_is_named(root):
    assert "baseline" not in shown(root, everything())
    (root / "reports/metrics.json").write_text(json.dumps(METRICS | {"baseline": "mlp"}))

    text = shown(root, everything())

    assert "mlp is the baseline: the student report's MLP on its 57 columns" in text


def test_the_version_its_alias_and_the_next_commands_are_shown(root):
    text = shown(root, everything())

    assert "music-genre version 3, champion" in text
    assert "better: 0.71 against 0.70" in text
    assert "make run SOURCE=…" in text


def test_a_version_of_an_earlier_run_is_marked(root):
    earlier = shown(root, everything())
    now = shown(root, everything(register=Outcome("register", "ran", 2.0, "version 3")))

    idle = Outcome("register", "ran", 2.0, "unchanged: music-genre version 3")
    assert "music-genre version 3, champion, by an earlier run" in earlier
    assert "by an earlier run" not in now
    assert "by an earlier run" in shown(root, everything(register=idle))


def test_a_warning_is_shown_below_the_registered_version(root):
    receipt = {**RECEIPT, "warning": "the champion, version 2, is damaged"}
    (root / "mlruns/registered.json").write_text(json.dumps(receipt))

    lines = shown(root, everything()).splitlines()

    (where,) = (number for number, line in enumerate(lines) if line.startswith("Registered"))
    assert lines[where + 1].strip() == "the champion, version 2, is damaged"
    assert lines[where + 2].strip() == RECEIPT["reason"]


def test_a_model_that_was_not_registered_is_reported(root):
    receipt = {**RECEIPT, "version": None, "aliases": [], "reason": "experiment x"}
    (root / "mlruns/registered.json").write_text(json.dumps(receipt))

    assert "music-genre: recorded, not registered" in shown(root, everything())


def test_no_result_of_an_earlier_run_is_shown_after_a_failed_step(root):
    failed = Outcome("train@mlp", "failed", error=InputError("train@mlp: params.yaml: seed"))
    skipped = {stage: Outcome(stage, "skipped") for stage in ("evaluate", "register")}

    text = shown(root, everything(**{"train@mlp": failed}, **skipped))

    assert "train@mlp: params.yaml: seed" in text
    assert "Not run     evaluate, register" in text
    assert "Done, kept  ingest, trim" in text
    assert "fix what the message names" in text
    assert "12 songs" in text
    assert "95 % interval" not in text
    assert "version 3" not in text
    assert "SOURCE" not in text
