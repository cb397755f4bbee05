"""Demo songs in the collection: made once, replaced by real songs, never mixed with them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from folders import left_behind, read_tree, rows_in, songs_in, write_tree

from genre.collection import add, add_demo, demo_songs, is_demo, remove
from genre.collection.demo import GENRES
from genre.core.errors import CollectionError

SMALL = {"songs_per_genre": 1, "workers": 1}


def pretend_songs(folder: Path, *, seed: int, songs_per_genre: int, **_settings: object) -> None:
    """As `write_songs`, with dummy files."""
    rows = ["path,genre,artist,title,licence,source"]
    for genre in GENRES:
        for number in range(songs_per_genre):
            name = f"{genre}/{number}.wav"
            write_tree(folder, {name: f"{name} {seed}"})
            rows.append(f"{name},{genre},A{number % 4},T,CC0-1.0,synthetic demo song (seed {seed})")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_songs, "write_songs", pretend_songs)


@pytest.mark.slow
def test_the_real_demo_songs_become_the_collection(tmp_path: Path) -> None:
    added = add_demo(tmp_path, songs_per_genre=1, workers=1)
    assert len(added.added) == len(GENRES)
    assert {path.partition("/")[0] for path in songs_in(tmp_path)} == set(GENRES)
    assert set(rows_in(tmp_path)) == set(songs_in(tmp_path))
    assert is_demo(tmp_path / "data/raw")
    assert left_behind(tmp_path) == []


@pytest.mark.usefixtures("quick")
def test_demo_songs_that_are_complete_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("demo", tmp_path)
    before = read_tree(tmp_path / "data/raw")

    def never(*_arguments: object, **_settings: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(demo_songs, "write_songs", never)
    again = add("demo", tmp_path)
    assert (again.added, again.already) == ((), 120)
    assert read_tree(tmp_path / "data/raw") == before


@pytest.mark.usefixtures("quick")
def test_demo_songs_that_are_not_complete_or_of_another_seed_are_made_again(tmp_path: Path) -> None:
    add_demo(tmp_path, **SMALL)
    remove(["jazz"], tmp_path)
    assert len(add_demo(tmp_path, **SMALL).added) == 10
    assert add_demo(tmp_path, seed=1, **SMALL).replaced_demo == 10
    assert {row["source"] for row in rows_in(tmp_path).values()} == {"synthetic demo song (seed 1)"}
    assert len(songs_in(tmp_path)) == 10


@pytest.mark.usefixtures("quick")
def test_real_songs_replace_demo_songs(tmp_path: Path) -> None:
    add_demo(tmp_path, **SMALL)
    # The path and content of a demo song, but a file of the user.
    mine = write_tree(tmp_path / "mine", {"jazz/0.wav": "jazz/0.wav 0", "polka/p.mp3": "P"})
    added = add(mine, tmp_path)
    assert added.added == ("jazz/0.wav", "polka/p.mp3")
    assert added.replaced_demo == 10
    assert set(songs_in(tmp_path)) == {"jazz/0.wav", "polka/p.mp3"}
    assert not (tmp_path / "data/raw/manifest.csv").exists()
    assert not is_demo(tmp_path / "data/raw")


@pytest.mark.usefixtures("quick")
def test_demo_songs_are_refused_if_there_are_real_songs(tmp_path: Path) -> None:
    add(write_tree(tmp_path / "mine", {"jazz/a.wav": "A"}), tmp_path)
    before = read_tree(tmp_path / "data/raw")
    with pytest.raises(CollectionError, match=r"1 songs that are not demo songs.*never mix"):
        add("demo", tmp_path)
    with pytest.raises(CollectionError, match="--sha256 is for archives"):
        add("demo", tmp_path, sha256="0" * 64)
    assert read_tree(tmp_path / "data/raw") == before


def test_demo_songs_in_another_source_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    pretend_songs(folder, seed=0, songs_per_genre=1)
    add(folder, tmp_path / "one")
    assert is_demo(tmp_path / "one/data/raw")
    assert add(folder, tmp_path / "one").already == 10
    write_tree(folder, {"jazz/mine.wav": "mine"})
    with pytest.raises(CollectionError, match="10 synthetic demo songs"):
        add(folder, tmp_path / "two")


@pytest.mark.usefixtures("quick")
def test_a_refusal_leaves_the_demo_songs(tmp_path: Path) -> None:
    add_demo(tmp_path, **SMALL)
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(CollectionError):
            add(source, tmp_path)
    assert is_demo(tmp_path / "data/raw")


def test_a_crash_while_demo_songs_are_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(folder: Path, **settings: object) -> None:
        partial(pretend_songs, folder)(
            seed=0, songs_per_genre=1, **{k: v for k, v in settings.items() if k == "genres"}
        )
        raise RuntimeError("the drummer fell asleep")

    monkeypatch.setattr(demo_songs, "write_songs", crash)
    with pytest.raises(RuntimeError, match="asleep"):
        add_demo(tmp_path)
    assert not (tmp_path / "data/raw").exists()
    assert left_behind(tmp_path) == []
