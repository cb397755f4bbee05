"""`genre add --move`: only files that the collection holds are removed from the inbox."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from folders import left_behind, read_tree, rows_in, songs_in, write_tree

from genre.collection import inbox
from genre.collection.add_songs import add
from genre.core.errors import CollectionError, GenreError

MANIFEST = "path,genre,artist\nnew.mp3,jazz,Ann\nblues/b.mp3,blues,Bob\nlater.mp3,rock,Cy\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 0.0)
    return write_tree(tmp_path / "project", {"params.yaml": "", "data/raw/blues/old.mp3": "old"})


def take(root: Path, folder: Path):
    return add(folder, root, move=True, log=lambda _: None)


def test_songs_move_from_the_inbox_into_the_collection(root, tmp_path):
    folder = write_tree(tmp_path / "in", {"blues/b.mp3": "B", "new.mp3": "N"})
    write_tree(folder, {"manifest.csv": MANIFEST})

    added = take(root, folder)

    assert songs_in(root) == {"blues/old.mp3": b"old", "blues/b.mp3": b"B", "jazz/new.mp3": b"N"}
    assert rows_in(root)["jazz/new.mp3"]["artist"] == "Ann"
    assert added.moved == 2
    assert list(read_tree(folder)) == ["manifest.csv"]
    assert left_behind(root) == []


def test_rows_of_missing_songs_stay_in_the_manifest(root, tmp_path):
    folder = write_tree(tmp_path / "in", {"new.mp3": "N", "manifest.csv": MANIFEST})

    take(root, folder)
    write_tree(folder, {"later.mp3": "L"})
    take(root, folder)

    assert rows_in(root)["rock/later.mp3"]["artist"] == "Cy"
    assert (folder / "manifest.csv").read_text().count("\n") == 2  # the header, and blues/b.mp3


def test_files_that_cannot_be_added_stay_and_the_others_are_added(root, tmp_path):
    outside = write_tree(tmp_path, {"outside.mp3": "secret"}) / "outside.mp3"
    left = {"nowhere.mp3": "?", "jazz/cover.jpg": "J", " odd /x.mp3": "X"}
    folder = write_tree(tmp_path / "in", {**left, "jazz/a.mp3": "A"})
    (folder / "jazz/link.mp3").symlink_to(outside)

    added = take(root, folder)

    assert "jazz/a.mp3" in songs_in(root)
    assert set(read_tree(folder)) == {*left, "jazz/link.mp3"}
    assert b"secret" not in songs_in(root).values()
    assert dict(added.skipped) == {
        "in a folder that cannot be a genre": 1,
        "links or devices": 1,
        "not songs": 1,
        "without a genre": 1,
    }


def test_a_song_that_the_collection_has_under_another_genre_stays_and_is_named(root, tmp_path):
    folder = write_tree(tmp_path / "in", {"jazz/old.mp3": "old"})

    added = take(root, folder)

    assert added.elsewhere == (("jazz/old.mp3", "blues/old.mp3"),)
    assert set(read_tree(folder)) == {"jazz/old.mp3"}


def test_a_file_that_is_still_being_written_is_left_for_the_next_run(root, tmp_path, monkeypatch):
    folder = write_tree(tmp_path / "in", {"blues/half.mp3": "ha"})
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 3600.0)

    added = take(root, folder)

    assert dict(added.skipped) == {inbox.UNFINISHED: 1}
    assert set(read_tree(folder)) == {"blues/half.mp3"}
    assert set(songs_in(root)) == {"blues/old.mp3"}


def test_a_file_that_is_open_for_writing_is_left_for_the_next_run(root, tmp_path):
    folder = write_tree(tmp_path / "in", {"blues/whole.mp3": "whole"})
    with (folder / "blues/half.mp3").open("wb") as writer:
        writer.write(b"ha")
        writer.flush()
        added = take(root, folder)

        assert dict(added.skipped) == {inbox.UNFINISHED: 1}
        assert set(read_tree(folder)) == {"blues/half.mp3"}
        writer.write(b"lf")

    take(root, folder)
    assert songs_in(root)["blues/half.mp3"] == b"half"
    assert not read_tree(folder)


def test_the_age_of_a_file_is_measured_by_the_clock_of_its_file_system(root, tmp_path, monkeypatch):
    folder = write_tree(tmp_path / "in", {"blues/half.mp3": "ha"})
    monkeypatch.setattr(inbox, "QUIET_SECONDS", 600.0)
    real = time.time
    monkeypatch.setattr(inbox.time, "time", lambda: real() + 3600)  # this clock is an hour ahead

    assert dict(take(root, folder).skipped) == {inbox.UNFINISHED: 1}


@pytest.mark.parametrize("content", [MANIFEST, "path,gen", 'path,genre\n"new.mp3,ja'])
def test_songs_wait_for_a_manifest_that_is_still_being_written(root, tmp_path, content):
    folder = write_tree(tmp_path / "in", {"new.mp3": "N", "blues/b.mp3": "B"})
    with (folder / "manifest.csv").open("w") as writer:
        writer.write(content)
        writer.flush()

        added = take(root, folder)

    assert inbox.UNFINISHED in dict(added.skipped)
    assert set(songs_in(root)) == {"blues/old.mp3"}
    assert set(read_tree(folder)) == {"new.mp3", "blues/b.mp3", "manifest.csv"}


def test_rows_added_while_songs_are_copied_stay_in_the_manifest(root, tmp_path, monkeypatch):
    folder = write_tree(tmp_path / "in", {"new.mp3": "N", "manifest.csv": MANIFEST})
    path, clear = folder / "manifest.csv", inbox.remove_added

    def come(*arguments):
        path.write_text(MANIFEST + "last.mp3,pop,Di\n")
        return clear(*arguments)

    monkeypatch.setattr(inbox, "remove_added", come)
    take(root, folder)

    assert "last.mp3,pop,Di" in path.read_text()
    assert "new.mp3" not in path.read_text()


def test_songs_that_a_killed_run_added_are_removed_by_the_next_run(root, tmp_path):
    folder = write_tree(tmp_path / "in", {"jazz/a.mp3": "A"})
    add(folder, root, log=lambda _: None)

    added = take(root, folder)

    assert (added.added, added.already, added.moved) == ((), 1, 1)
    assert not read_tree(folder)


def test_an_empty_inbox_changes_nothing(root, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    before = (root / "data/raw").stat().st_ino

    assert take(root, folder).added == ()
    assert (root / "data/raw").stat().st_ino == before
    assert folder.is_dir()


def test_an_inbox_without_songs_keeps_the_demo_songs(root, tmp_path):
    manifest = "path,genre,source\nblues/old.mp3,blues,synthetic demo\n"
    write_tree(root, {"data/raw/manifest.csv": manifest})
    folder = write_tree(tmp_path / "in", {"manifest.csv": MANIFEST, "notes.txt": ""})

    take(root, folder)

    assert set(songs_in(root)) == {"blues/old.mp3"}


def test_nothing_is_removed_when_the_collection_cannot_be_written(root, tmp_path, monkeypatch):
    folder = write_tree(tmp_path / "in", {"jazz/a.mp3": "A"})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genre.collection.transaction._copy", full)

    with pytest.raises(GenreError, match="No space left"):
        take(root, folder)

    assert set(read_tree(folder)) == {"jazz/a.mp3"}
    assert set(songs_in(root)) == {"blues/old.mp3"}


def test_move_needs_a_folder(root, tmp_path):
    with pytest.raises(CollectionError, match="--move"):
        add(write_tree(tmp_path, {"songs.zip": "PK"}) / "songs.zip", root, move=True)
