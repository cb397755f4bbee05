"""What the page is made of, without a browser: its port, its messages, what it sweeps."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from ensembles import ensemble, mlp

from genre import cli
from genre.app import cards, page, serving
from genre.app.model import LoadedModel, accuracy, opened
from genre.classifier import Classifier, GenreProbability, Prediction, Tag, TimelineSegment
from genre.cli import app as commands
from genre.core.errors import InputError


def genre(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run the command; its exit code and errors."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert isinstance(ended.value.code, int)
    return ended.value.code, capsys.readouterr().err


def test_without_the_extra_one_line_names_the_command_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "find_spec", lambda _: None)

    code, message = genre(capsys, "app")

    assert code == 2
    assert message.count("\n") == 1
    assert "--editable '.[app]'" in message


def test_a_port_that_is_taken_is_an_error_only_if_it_was_requested(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]

        with serving.open_socket(taken, any_other=True) as found:
            assert found.getsockname()[0] == "127.0.0.1"
            assert found.getsockname()[1] != taken
        code, message = genre(capsys, "app", "--port", str(taken))

    assert code == 2
    assert f"--port {taken} of 127.0.0.1 cannot be used" in message
    assert message.count("\n") == 1


def test_a_missing_model_is_reported_and_no_page_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = genre(capsys, "app", "--port", "0", "--model", str(tmp_path / "none"))

    assert code == 2
    assert "no such folder" in message


def test_a_model_from_a_folder_has_no_version_and_no_accuracy(tmp_path: Path) -> None:
    ensemble(mlp()).save(tmp_path / "classifier")

    with opened(tmp_path, str(tmp_path / "classifier")) as loaded:
        output = cards.about(loaded)

    assert loaded.version is None
    assert loaded.title == str(tmp_path / "classifier")
    assert "not registered" in output
    assert "not recorded for this model" in output


def test_a_model_of_the_demo_songs_is_called_one() -> None:
    made = ensemble(mlp())
    before = cards.about(LoadedModel(Classifier(made), "music-genre", "3", None))
    made.synthetic = True

    after = cards.about(LoadedModel(Classifier(made), "music-genre", "3", None))

    assert "synthetic" not in before
    assert "synthetic demo songs, made by arithmetic" in after


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classifier.json").write_text("{")

    with pytest.raises(InputError), opened(tmp_path, str(tmp_path)):
        pass


def test_the_accuracy_is_shown_with_its_interval_and_subset() -> None:
    row = {"accuracy": 0.63, "accuracy_low": 0.58, "accuracy_high": 0.679, "subset": "test"}

    output = cards.about(
        LoadedModel(Classifier(ensemble(mlp())), "music-genre", "3", accuracy(row))
    )

    assert (
        "63.0\u00a0% of the test songs (95\u00a0% interval 58.0\u2060–\u206067.9\u00a0%)" in output
    )


def test_a_version_without_figures_has_no_accuracy() -> None:
    row = {"accuracy": None, "accuracy_low": None, "accuracy_high": None, "subset": None}

    assert accuracy(row) is None


def test_names_and_genres_cannot_smuggle_markup_in() -> None:
    evil = "<script>alert(1)</script>"
    given = Prediction(evil, 0.7, (GenreProbability(evil, 0.7),), 3.0, None, (Tag(evil, 0.5),))

    card = cards.predicted(evil, given, evil, note=evil) + cards.refusal(evil, evil)

    assert "Sounds like" in card
    assert "<script" not in card
    assert "&lt;script&gt;" in card + cards.busy(evil)


def test_the_table_names_the_genres_of_each_part_and_silence() -> None:
    moments = (
        TimelineSegment(0.0, {"jazz": 0.7, "rock": 0.3}),
        TimelineSegment(6.0, {"jazz": 0.2, "rock": 0.8}),
    )
    given = Prediction("jazz", 0.7, (GenreProbability("jazz", 0.7),), 9.0, moments)

    assert cards.table(given) == [
        ["0:00–0:03", "jazz 70 %, rock 30 %"],
        ["0:03–0:06", "silent"],
        ["0:06–0:09", "rock 80 %, jazz 20 %"],
    ]


def test_only_uploads_are_discarded(tmp_path: Path) -> None:
    uploads, example = tmp_path / "uploads", tmp_path / "examples/song.wav"
    song = uploads / "1234/song.wav"
    for path in (song, example):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"song")

    page.discard(song, uploads)
    page.discard(example, uploads)

    assert list(uploads.iterdir()) == []
    assert example.exists()
