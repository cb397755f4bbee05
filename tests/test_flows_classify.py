"""The flow classify, on a Prefect server of its own: what is new is answered, once, and kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from ensembles import GENRES, ensemble, mlp
from songs import tone, write

from flows.classify import LOCK, classify, page
from flows.single_instance import alone
from genre.classifier import Classifier
from genre.core.errors import InputError
from runner import classify_folder as answers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def root(tmp_path, project, monkeypatch) -> Path:
    """A project with a classifier and three songs, one of which is broken, and a cover."""
    shutil.copyfile(project / "params.yaml", tmp_path / "params.yaml")
    ensemble(mlp()).save(tmp_path / "classifier")
    write(tmp_path / "songs" / "b.wav", tone(4, seed=1))
    write(tmp_path / "songs" / "deep" / "a.flac", tone(7, seed=2))
    (tmp_path / "songs" / "fake.mp3").write_text("no music at all\n" * 99)
    (tmp_path / "songs" / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0 not audio")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder="songs", model="classifier"):
    return classify(folder, "out/answers.parquet", model, return_state=True)


def table() -> pd.DataFrame:
    return pd.read_parquet("out/answers.parquet").set_index("path")


@pytest.mark.usefixtures("root")
def test_every_song_of_the_folder_gets_a_row(caplog) -> None:
    state = run()

    found = table()
    assert state.is_completed()
    assert state.message == (
        "2 songs classified, in out/answers.parquet; 1 could not be classified; "
        "1 skipped: not audio"
    )
    assert list(found.index) == ["b.wav", "deep/a.flac", "fake.mp3"]
    heard = found.drop("fake.mp3")
    assert set(heard["genre"]) <= set(GENRES)
    assert heard["error"].isna().all()
    assert (heard["probability"] >= heard["probability_2"]).all()
    assert found.loc["deep/a.flac", "seconds"] == pytest.approx(7, abs=0.01)
    assert str(found["answered_at"].dtype) == "datetime64[us, UTC]"
    assert "not audio" in found.loc["fake.mp3", "error"]
    assert f"songs/fake.mp3: {found.loc['fake.mp3', 'error']}" in caplog.text
    assert pd.isna(found.loc["fake.mp3", "genre"])


def test_only_new_and_changed_songs_are_listened_to_again(root) -> None:
    run()
    before = table()
    write(root / "songs" / "c.wav", tone(3, seed=3))
    write(root / "songs" / "b.wav", tone(5, seed=4))

    assert run().message == "2 songs classified, in out/answers.parquet; 1 skipped: not audio"
    after = table()
    assert run().message == "no new songs; 1 skipped: not audio"

    kept = ["deep/a.flac", "fake.mp3"]
    pd.testing.assert_frame_equal(after.loc[kept], before.loc[kept])
    assert after.loc["b.wav", "sha256"] != before.loc["b.wav", "sha256"]
    assert list(after.index) == ["b.wav", "c.wav", "deep/a.flac", "fake.mp3"]


def test_answers_are_kept_batch_by_batch(root, monkeypatch) -> None:
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("batch: 64", "batch: 1"))
    kept = answers.answer
    done = []

    def break_down_at_the_second(songs, *rest):
        done.append(songs)
        if len(done) == 2:
            raise InputError("no room on the disk")
        return kept(songs, *rest)

    monkeypatch.setattr(answers, "answer", break_down_at_the_second)
    state = run()

    assert state.is_failed()
    assert state.message == "no room on the disk"
    assert list(table().index) == ["b.wav", "deep/a.flac"]
    monkeypatch.setattr(answers, "answer", kept)
    assert run().message.startswith("0 songs classified, in out/answers.parquet; 1 could not be")


@pytest.mark.parametrize(
    ("folder", "model", "message"),
    [
        ("nowhere", "classifier", "nowhere: no such folder"),
        ("songs", "songs", "no classifier here"),
        ("songs", "models:/music-genre@champion", "no MLflow store yet, and so no champion"),
    ],
)
@pytest.mark.usefixtures("root")
def test_what_cannot_be_done_is_told_before_any_song(folder, model, message) -> None:
    state = run(folder, model)

    assert state.is_failed()
    assert message in state.message
    assert not Path("out").exists()


def test_a_table_of_another_folder_is_not_mixed_up_with_this_one(root) -> None:
    run()
    before = Path("out/answers.parquet").read_bytes()
    write(root / "other" / "b.wav", tone(4, seed=9))

    other = run("other")

    assert other.is_failed()
    assert "holds answers of the folder songs, and songs of other are to be" in other.message
    assert Path("out/answers.parquet").read_bytes() == before
    assert run(str(root / "songs")).message == "no new songs; 1 skipped: not audio"


@pytest.mark.usefixtures("root")
def test_of_two_that_answer_songs_at_once_the_second_says_that_it_is_not_needed() -> None:
    with alone(LOCK):
        second = run()

    assert second.is_cancelled()
    assert second.message.startswith("songs are being answered here already (process ")
    assert not Path("out").exists()
    assert run().is_completed()


@pytest.mark.usefixtures("root")
def test_a_table_of_something_else_is_not_overwritten() -> None:
    Path("out").mkdir()
    pd.DataFrame({"a": [1]}).to_parquet("out/answers.parquet")

    assert "found the columns a, expected path" in run().message
    Path("out/answers.parquet").write_text("not a table")
    assert "cannot be read" in run().message
    assert Path("out/answers.parquet").read_text() == "not a table"


@pytest.mark.usefixtures("root")
def test_the_page_shows_the_newest_answers() -> None:
    run()

    text = " ".join(page(Path("out/answers.parquet"), None).split())

    row = table().loc["b.wav"]
    assert f"| b.wav | {row['genre']} | {100 * row['probability']:.0f} % | 4 |" in text
    assert "| fake.mp3 | *" in text


@pytest.mark.usefixtures("root")
def test_a_song_that_meets_a_defect_has_a_row_and_is_tried_again_by_the_next_run(
    monkeypatch,
) -> None:
    right = Classifier.classify

    def odd(self, source, **settings):
        if source.name == "b.wav":
            raise ZeroDivisionError("division by zero")
        return right(self, source, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "classify", odd)
        assert run().is_completed()
    before = table()
    assert before.loc["b.wav", "error"].startswith("met an unexpected ZeroDivisionError: division")
    assert before.loc["deep/a.flac", "genre"] in GENRES

    assert run().message == "1 songs classified, in out/answers.parquet; 1 skipped: not audio"
    assert table().loc["b.wav", "genre"] in GENRES


@pytest.mark.usefixtures("root")
def test_an_unforeseen_error_is_one_failed_state_without_a_traceback(
    monkeypatch, caplog, capfd
) -> None:
    monkeypatch.setattr(answers, "waiting", lambda *_: {}["x"])

    state = run()

    assert state.is_failed()
    assert state.message.startswith("unexpected KeyError: 'x' in tests/test_flows_classify.py:")
    assert state.message.endswith("This is a defect; the details are in .services/errors.log")
    assert "Traceback" in Path(".services/errors.log").read_text()
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.usefixtures("root")
def test_a_table_without_warnings_is_continued() -> None:
    run()
    old = pd.read_parquet("out/answers.parquet")
    attributes = old.attrs
    old = old.drop(columns="warning")
    old.attrs = attributes
    old.to_parquet("out/answers.parquet", index=False)

    assert run().message == "no new songs; 1 skipped: not audio"
    write(Path("songs/c.wav"), tone(3, seed=3))
    assert run().message.startswith("1 songs classified, ")
    assert list(pd.read_parquet("out/answers.parquet")) == list(answers.COLUMNS)
