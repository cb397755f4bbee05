"""`genre classify`: a prediction or an error for every song, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ensembles import GENRES, ensemble, mlp, network
from songs import tone, write

from genre.classifier import Classifier
from genre.cli import main

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier."""
    folder = tmp_path_factory.mktemp("model") / "classifier"
    ensemble(mlp()).save(folder)
    return folder


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with songs, and with what is none."""
    folder = tmp_path / "music"
    write(folder / "b.wav", tone(4, seed=1))
    write(folder / "deep/er/a.flac", tone(7, seed=2))
    (folder / "notes.txt").write_text("buy strings\n")
    (folder / ".hidden.wav").write_bytes((folder / "b.wav").read_bytes())
    return folder


class Output:
    """What a run of the command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.out)
        return rows


@pytest.fixture
def classify(model: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command in this process."""

    def run(*arguments: str | Path, folder_or_uri: Path | str | None = model) -> Output:
        which = ["--model", str(folder_or_uri)] if folder_or_uri else []
        with pytest.raises(SystemExit) as ended:
            main(["classify", *which, *map(str, arguments)])
        captured = capsys.readouterr()
        return Output(int(ended.value.code or 0), captured.out, captured.err)

    return run


def test_a_song_is_shown_with_its_genres_and_bars(classify: Any, music: Path) -> None:
    output = classify(music / "b.wav", "--top", "2")

    assert output.code == 0
    lines = output.out.splitlines()
    assert "b.wav" in output.out
    assert "0:04" in output.out
    assert sum("%" in line for line in lines) == 2
    assert "━" in output.out
    assert output.err.splitlines() == [output.err.strip()]
    assert output.err.startswith("1 song classified by ")


def test_json_holds_an_object_a_song(classify: Any, music: Path) -> None:
    output = classify(music, "--json")

    assert output.code == 0
    assert [row["path"] for row in output.rows] == [
        str(music / "b.wav"),
        str(music / "deep/er/a.flac"),
    ]
    first = output.rows[0]
    known = {"path", "genre", "probability", "top", "seconds", "model_version", "model_synthetic"}
    assert set(first) == known
    assert first["model_synthetic"] is False
    assert first["top"][0] == {"genre": first["genre"], "probability": first["probability"]}
    assert sorted(choice["genre"] for choice in first["top"]) == list(GENRES)
    assert sum(choice["probability"] for choice in first["top"]) == pytest.approx(1)
    assert (first["seconds"], first["model_version"]) == (4, None)


def test_a_model_of_the_demo_songs_is_called_one(
    classify: Any, music: Path, tmp_path: Path
) -> None:
    made = ensemble(mlp())
    made.synthetic = True
    made.save(tmp_path / "demo")

    shown = classify(music / "b.wav", folder_or_uri=tmp_path / "demo")
    rows = classify(music / "b.wav", "--json", folder_or_uri=tmp_path / "demo")

    assert f"note: {tmp_path / 'demo'} was trained on synthetic demo songs" in shown.err
    assert rows.rows[0]["model_synthetic"] is True
    assert "note:" not in rows.err


def test_covers_and_playlists_in_a_folder_are_skipped_and_counted(
    classify: Any, music: Path
) -> None:
    (music / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0 not audio")
    (music / "list.m3u").write_text("b.wav\n")

    output = classify(music, "--json")

    assert output.code == 0
    assert "2 songs classified by" in output.err
    assert "3 files skipped: not audio" in output.err


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp3", b"", "is empty (0 bytes)"),
        ("short.MP3", b"\xff\xfb\x90\x00" + bytes(296), "is not audio in any known format"),
        ("fake.mp3", b"no music at all\n" * 99, "is not audio in any known format"),
        ("no_name", b"ID3\x04" + bytes(99), "is not audio in any known format"),
    ],
)
def test_a_damaged_audio_file_in_a_folder_is_an_error(
    classify: Any, music: Path, name: str, content: bytes, reason: str
) -> None:
    (music / name).write_bytes(content)

    output = classify(music, "--json")
    shown = classify(music, "--csv")

    assert (output.code, shown.code) == (2, 2)
    assert {"path": str(music / name), "error": reason} in output.rows
    assert f"{music / name},,,,,,,,,{reason}," in shown.out.splitlines()
    assert "2 songs classified by" in output.err
    assert "1 could not be classified; 1 file skipped: not audio" in output.err


def test_an_mp3_that_was_cut_off_is_classified_with_a_warning(
    classify: Any, tmp_path: Path
) -> None:
    whole = write(tmp_path / "whole.mp3", tone(20))
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    output = classify(tmp_path, "--json")
    shown = classify(cut)

    assert (output.code, shown.code) == (0, 0)
    warning = "ends after 10 s, but its header says 20 s: it was probably cut off"
    assert [row.get("warning") for row in output.rows] == [warning, None]
    assert f"warning: {cut}: {warning}" in shown.err
    assert "1 song classified by" in shown.err
    assert "; 1 of them probably cut off" in shown.err


def test_csv_holds_a_row_a_song(classify: Any, music: Path) -> None:
    output = classify(music, music / "nowhere.wav", "--csv", "--top", "2")

    assert output.code == 2
    rows = list(csv.DictReader(io.StringIO(output.out)))
    assert list(rows[0]) == [
        "path",
        "genre",
        "probability",
        "genre_2",
        "probability_2",
        "seconds",
        "model_version",
        "error",
        "warning",
    ]
    assert [row["error"] for row in rows] == [
        "",
        "",
        "cannot be opened (No such file or directory)",
    ]
    assert float(rows[0]["probability"]) >= float(rows[0]["probability_2"])


def test_a_named_file_that_cannot_be_decoded_is_reported_and_the_others_are_classified(
    classify: Any, music: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.mp3").touch()
    broken = write(tmp_path / "broken.flac", tone(9))
    broken.write_bytes(broken.read_bytes()[:30_000])
    silent = write(tmp_path / "silent.wav", 0 * tone(5))
    (music / "fake.mp3").write_text("no music at all\n" * 99)
    files = [music / "fake.mp3", tmp_path / "empty.mp3", music / "b.wav", broken, silent]

    output = classify(*files, "--json")
    shown = classify(*files)

    assert (output.code, shown.code) == (2, 2)
    reasons = [row.get("error") for row in output.rows]
    assert reasons[0].startswith("is not audio")
    assert reasons[1] == "is empty (0 bytes)"
    assert reasons[2] is None
    assert reasons[3].startswith("cannot be decoded to its end")
    assert reasons[4] == "is silent from beginning to end"
    assert f"error: {music / 'fake.mp3'}: is not audio" in shown.err
    assert "b.wav" in shown.out
    assert "4 could not be classified" in shown.err


def test_a_folder_without_songs_is_an_error(classify: Any, tmp_path: Path, music: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "deep").mkdir(parents=True)
    (empty / "deep/words.txt").write_text("words")

    output = classify(empty, music, "--json")

    assert output.code == 2
    assert output.rows[-1] == {"path": str(empty), "error": "no songs in this folder"}
    assert len(output.rows) == 3


def test_a_song_named_twice_is_classified_once(classify: Any, music: Path) -> None:
    output = classify(music / "b.wav", music, music / "b.wav", "--json")

    assert [Path(row["path"]).name for row in output.rows] == ["b.wav", "a.flac"]


def test_names_that_hold_anything_are_shown_safely(
    classify: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "[red]x\x1b[31m\n.wav", tone(4))

    output = classify("[red]x\x1b[31m\n.wav")

    assert output.code == 0
    assert r"[red]x\x1b[31m\n.wav" in output.out


def test_a_song_beyond_the_limit_is_refused(classify: Any, music: Path) -> None:
    output = classify(music / "b.wav", "--max-hours", "0.001", "--json")

    assert output.code == 2
    assert "is 4 s long, longer than the 3.6 s" in output.rows[0]["error"]


@pytest.mark.slow
def test_many_songs_are_distributed_to_workers_with_the_same_predictions(
    model: Path, tmp_path: Path, classify: Any
) -> None:
    folder = tmp_path / "many"
    for number in range(9):
        write(folder / f"{number}.wav", tone(3.5, seed=number))
    (folder / "words.txt").write_text("words")
    command = [sys.executable, "-m", "genre.cli", "classify", "--model", str(model), "--json"]

    done = subprocess.run(
        [*command, str(folder)], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    many = json.loads(done.stdout)
    assert [Path(row["path"]).name for row in many] == [f"{number}.wav" for number in range(9)]
    assert "9 songs classified by" in done.stderr
    assert "1 file skipped" in done.stderr
    one = classify(folder / "3.wav", "--json").rows[0]
    assert many[3] == one


def test_a_timeline_is_drawn_the_same_each_time(classify: Any, tmp_path: Path) -> None:
    song = write(tmp_path / "a $ong.wav", tone(40, seed=5))

    for name in ("one.png", "two.png"):
        assert classify(song, "--timeline", tmp_path / name).code == 0

    drawn = (tmp_path / "one.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert drawn == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["b.wav", "--timeline", "x.jpg"], "expected a file that ends in .png"),
        (["b.wav", "deep", "--timeline", "x.png"], "draws one song"),
        (["deep", "--timeline", "x.png"], "draws one song"),
    ],
)
def test_a_timeline_that_cannot_be_drawn_is_refused(
    classify: Any, music: Path, arguments: list[str], message: str, monkeypatch: Any
) -> None:
    monkeypatch.chdir(music)

    output = classify(*arguments)

    assert output.code == 2
    assert message in output.err
    assert not list(music.glob("x.*"))


@pytest.mark.parametrize("seconds", [3600.0, 1.0])
def test_the_shares_of_a_song_of_any_length_are_few_and_cover_it(seconds: float) -> None:
    from genre.classifier import GenreProbability, Prediction, TimelineSegment
    from genre.classifier.timeline import STEPS, steps

    starts = [3.0 * n for n in range(max(1, int(seconds // 3)))]
    moments = tuple(TimelineSegment(start, {"a": 0.25, "b": 0.75}) for start in starts)
    prediction = Prediction("b", 0.75, (GenreProbability("b", 0.75),), seconds, moments)

    when, shares = steps(prediction)

    assert list(shares) == ["b", "a"]
    assert len(when) <= STEPS + 1
    assert (when[0], when[-1]) == (0, seconds)
    assert all(len(share) == len(when) for share in shares.values())


def test_silence_has_no_share_in_the_timeline() -> None:
    from genre.classifier import GenreProbability, Prediction, TimelineSegment
    from genre.classifier.timeline import steps

    moments = (TimelineSegment(0.0, {"a": 1.0}), TimelineSegment(9.0, {"a": 1.0}))

    when, shares = steps(Prediction("a", 1.0, (GenreProbability("a", 1.0),), 12.0, moments))

    assert when.tolist() == [0, 3, 9, 12]
    assert shares["a"].tolist() == [1, 0, 1, 1]


def test_genres_with_a_small_share_are_drawn_as_others() -> None:
    import numpy as np

    from genre.classifier.timeline import REST, grouped, palette

    shares = {name: np.full(3, share) for name, share in [("a", 0.97), ("others", 0.02)]}
    shares["b"] = np.full(3, 0.01)

    rows = grouped(shares)

    assert list(rows) == ["a", "others"]
    assert rows["others"] == pytest.approx(np.full(3, 0.03))
    assert [palette(shares)[genre] == REST for genre in shares] == [False, True, True]


def test_a_folder_without_a_classifier_is_refused(
    classify: Any, music: Path, tmp_path: Path
) -> None:
    output = classify(music / "b.wav", folder_or_uri=tmp_path)
    gone = classify(music / "b.wav", folder_or_uri=tmp_path / "gone")

    assert (output.code, gone.code) == (2, 2)
    assert "no classifier here" in output.err
    assert "no such folder" in gone.err


def test_a_damaged_classifier_is_reported_once(
    classify: Any, model: Path, music: Path, tmp_path: Path
) -> None:
    import shutil

    damaged = shutil.copytree(model, tmp_path / "damaged")
    weights = damaged / "mlp/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])

    output = classify(music, music / "b.wav", folder_or_uri=damaged)

    assert output.code == 2
    assert output.err.count("error:") == 1
    assert "damaged, or not the weights" in output.err
    assert output.out == ""


def test_a_classifier_of_pictures_predicts_too(classify: Any, music: Path, tmp_path: Path) -> None:
    ensemble(mlp(), network("resnet")).save(tmp_path / "vote")

    output = classify(music / "b.wav", "--json", folder_or_uri=tmp_path / "vote")

    assert output.code == 0
    assert output.rows[0]["genre"] in GENRES


def test_a_classifier_on_features_predicts_without_heavy_libraries(
    model: Path, music: Path
) -> None:
    code = (
        "import sys\n"
        "from genre.cli import genre\n"
        "genre.main(sys.argv[1:], standalone_mode=False)\n"
        "heavy = 'torch pandas mlflow matplotlib librosa sklearn scipy.signal'.split()\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, "classify", "--model", model, "--json", music / "b.wav"],
        cwd=PROJECT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_tags_are_refused_if_the_model_predicts_none(classify: Any, music: Path) -> None:
    output = classify(music / "b.wav", "--tags")

    assert (output.code, output.out) == (2, "")
    assert "--tags: this model does not predict tags" in output.err
    assert "features.families" in output.err


def odd(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the classifier meet a defect in the songs of these names."""
    right = Classifier.classify

    def classify(self: Classifier, source: Path, **settings: Any) -> Any:
        if source.name in names:
            raise ZeroDivisionError("division by zero")
        return right(self, source, **settings)

    monkeypatch.setattr(Classifier, "classify", classify)


def test_a_song_that_meets_a_defect_is_named_and_the_others_are_classified(
    classify: Any, music: Path, in_new_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd(monkeypatch, "b.wav")

    output = classify(music)

    assert output.code == 2
    assert "a.flac" in output.out
    error = next(line for line in output.err.splitlines() if line.startswith("error: "))
    assert error.startswith(
        f"error: {music / 'b.wav'}: failed with an unexpected ZeroDivisionError: division by zero "
        "(in tests/test_classify.py:"
    )
    assert "Traceback" not in output.err
    assert "Traceback" in (in_new_project / ".services/errors.log").read_text()


def test_a_defect_that_most_songs_meet_is_shown_once(
    classify: Any, music: Path, in_new_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_new_project
    write(music / "c.wav", tone(4, seed=3))
    odd(monkeypatch, "a.flac", "b.wav", "c.wav")

    output = classify(music)

    assert output.code == 1
    assert output.out == ""
    assert output.err.count("ZeroDivisionError") == 1
    assert output.err.startswith("error: 3 of 4 songs (")
