"""The flow classify, on its own Prefect server: new songs are classified once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from ensembles import GENRES, ensemble, mlp
from songs import tone, write

from flows.classify import LOCK, classify, page
from flows.single_instance import single_instance
from genre.classifier import Classifier
from genre.core.errors import InputError
from runner import classify_folder as predictions

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def root(tmp_path, project, monkeypatch) -> Path:
    """A project with a classifier, three songs (one damaged) and a cover picture."""
    shutil.copyfile(project / "params.yaml", tmp_path / "params.yaml")
    ensemble(mlp()).save(tmp_path / "classifier")
    write(tmp_path / "songs" / "b.wav", tone(4, seed=1))
    write(tmp_path / "songs" / "deep" / "a.flac", tone(7, seed=2))
    (tmp_path / "songs" / "fake.mp3").write_text("no music at all\n" * 99)
    (tmp_path / "songs" / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0 not audio")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder="songs", model="classifier"):
    return classify(folder, "out/classified.parquet", model, return_state=True)


def table() -> pd.DataFrame:
    return pd.read_parquet("out/classified.parquet").set_index("path")


@pytest.mark.usefixtures("root")
def test_every_song_of_the_folder_gets_a_row(caplog) -> None:
    state = run()

    found = table()
    assert state.is_completed()
    assert state.message == (
        "2 songs classified, in out/classified.parquet; 1 could not be classified; "
        "1 skipped: not audio"
    )
    assert list(found.index) == ["b.wav", "deep/a.flac", "fake.mp3"]
    classified = found.drop("fake.mp3")
    assert set(classified["genre"]) <= set(GENRES)
    assert classified["error"].isna().all()
    assert (classified["probability"] >= classified["probability_2"]).all()
    assert found.loc["deep/a.flac", "seconds"] == pytest.approx(7, abs=0.01)
    assert str(found["classified_at"].dtype) == "datetime64[us, UTC]"
    assert "not audio" in found.loc["fake.mp3", "error"]
    assert f"songs/fake.mp3: {found.loc['fake.mp3', 'error']}" in caplog.text
    assert pd.isna(found.loc["fake.mp3", "genre"])


def test_only_new_and_changed_songs_are_classified_again(root) -> None:
    run()
    before = table()
    write(root / "songs" / "c.wav", tone(3, seed=3))
    write(root / "songs" / "b.wav", tone(5, seed=4))

    assert run().message == "2 songs classified, in out/classified.parquet; 1 skipped: not audio"
    after = table()
    assert run().message == "no new songs; 1 skipped: not audio"

    kept = ["deep/a.flac", "fake.mp3"]
    pd.testing.assert_frame_equal(after.loc[kept], before.loc[kept])
    assert after.loc["b.wav", "sha256"] != before.loc["b.wav", "sha256"]
    assert list(after.index) == ["b.wav", "c.wav", "deep/a.flac", "fake.mp3"]


def test_predictions_are_written_batch_by_batch(root, monkeypatch) -> None:
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("batch: 64", "batch: 1"))
    classify_songs = predictions.classify_songs
    done = []

    def break_down_at_the_second(songs, *rest):
        done.append(songs)
        if len(done) == 2:
            raise InputError("no room on the disk")
        return classify_songs(songs, *rest)

    monkeypatch.setattr(predictions, "classify_songs", break_down_at_the_second)
    state = run()

    assert state.is_failed()
    assert state.message == "no room on the disk"
    assert list(table().index) == ["b.wav", "deep/a.flac"]
    monkeypatch.setattr(predictions, "classify_songs", classify_songs)
    assert run().message.startswith("0 songs classified, in out/classified.parquet; 1 could not be")


@pytest.mark.parametrize(
    ("folder", "model", "message"),
    [
        ("nowhere", "classifier", "nowhere: no such folder"),
        ("songs", "songs", "no classifier here"),
        ("songs", "models:/music-genre@champion", "no MLflow store yet, and so no champion"),
    ],
)
@pytest.mark.usefixtures("root")
def test_bad_input_is_reported_before_any_song(folder, model, message) -> None:
    state = run(folder, model)

    assert state.is_failed()
    assert message in state.message
    assert not Path("out").exists()


def test_a_table_of_another_folder_is_refused(root) -> None:
    run()
    before = Path("out/classified.parquet").read_bytes()
    write(root / "other" / "b.wav", tone(4, seed=9))

    other = run("other")

    assert other.is_failed()
    assert "holds predictions of the folder songs, not of other" in other.message
    assert Path("out/classified.parquet").read_bytes() == before
    assert run(str(root / "songs")).message == "no new songs; 1 skipped: not audio"


@pytest.mark.usefixtures("root")
def test_the_second_of_two_runs_at_once_is_skipped() -> None:
    with single_instance(LOCK):
        second = run()

    assert second.is_cancelled()
    assert second.message.startswith("another run of classify is running (process ")
    assert not Path("out").exists()
    assert run().is_completed()


@pytest.mark.usefixtures("root")
def test_a_table_of_something_else_is_not_overwritten() -> None:
    Path("out").mkdir()
    pd.DataFrame({"a": [1]}).to_parquet("out/classified.parquet")

    assert "found the columns a, expected path" in run().message
    Path("out/classified.parquet").write_text("not a table")
    assert "cannot be read" in run().message
    assert Path("out/classified.parquet").read_text() == "not a table"


@pytest.mark.usefixtures("root")
def test_the_artifact_shows_the_newest_predictions() -> None:
    run()

    text = " ".join(page(Path("out/classified.parquet"), None).split())

    row = table().loc["b.wav"]
    assert f"| b.wav | {row['genre']} | {100 * row['probability']:.0f} % | 4 |" in text
    assert "| fake.mp3 | *" in text


@pytest.mark.usefixtures("root")
def test_a_song_with_an_unexpected_exception_has_a_row_and_is_retried_by_the_next_run(
    monkeypatch,
) -> None:
    classify_song = Classifier.classify

    def odd(self, source, **settings):
        if source.name == "b.wav":
            raise ZeroDivisionError("division by zero")
        return classify_song(self, source, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "classify", odd)
        assert run().is_completed()
    before = table()
    assert before.loc["b.wav", "error"].startswith("failed with an unexpected ZeroDivisionErr")
    assert before.loc["deep/a.flac", "genre"] in GENRES

    assert run().message == "1 songs classified, in out/classified.parquet; 1 skipped: not audio"
    assert table().loc["b.wav", "genre"] in GENRES


@pytest.mark.usefixtures("root")
def test_an_unexpected_error_is_one_failed_state_without_a_traceback(
    monkeypatch, caplog, capfd
) -> None:
    monkeypatch.setattr(predictions, "find_pending", lambda *_: {}["x"])

    state = run()

    assert state.is_failed()
    assert state.message.startswith("unexpected KeyError: 'x' in tests/test_flows_classify.py:")
    assert state.message.endswith("This is a defect; the details are in .services/errors.log")
    assert "Traceback" in Path(".services/errors.log").read_text()
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.usefixtures("root")
def test_a_table_without_warnings_is_continued() -> None:
    run()
    old = pd.read_parquet("out/classified.parquet")
    attributes = old.attrs
    old = old.drop(columns="warning")
    old.attrs = attributes
    old.to_parquet("out/classified.parquet", index=False)

    assert run().message == "no new songs; 1 skipped: not audio"
    write(Path("songs/c.wav"), tone(3, seed=3))
    assert run().message.startswith("1 songs classified, ")
    assert list(pd.read_parquet("out/classified.parquet")) == list(predictions.COLUMNS)


@pytest.mark.usefixtures("root")
def test_a_table_of_the_former_default_name_is_renamed_and_continued(caplog) -> None:
    # given: the table and the songs of a run before classify.output was renamed
    run()
    old = pd.read_parquet("out/classified.parquet")
    attributes = old.attrs
    old = old.rename(columns={"classified_at": "answered_at"})
    old.attrs = attributes
    Path("reports/answers.heard").mkdir(parents=True)
    old.to_parquet("reports/answers.parquet", index=False)

    # when: the flow runs with the default output
    state = classify("songs", None, "classifier", return_state=True)

    # then: no song is classified again
    assert state.message == "no new songs; 1 skipped: not audio"
    assert "renamed reports/answers.parquet to reports/classified.parquet" in caplog.text
    assert Path("reports/classified.songs").is_dir()
    assert sorted(path.name for path in Path("reports").iterdir()) == [
        "classified.parquet",
        "classified.songs",
    ]
    write(Path("songs/c.wav"), tone(3, seed=3))
    state = classify("songs", None, "classifier", return_state=True)
    assert state.message.startswith("1 songs classified, in reports/classified.parquet")
    assert list(pd.read_parquet("reports/classified.parquet")) == list(predictions.COLUMNS)
