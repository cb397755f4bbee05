"""Songs that were moved manually: renamed genre folders are recognised, and no row is lost."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pytest
from folders import left_behind, read_tree, rows_in, songs_in, write_tree

from genre.collection import add, relabel
from genre.collection.edit_songs import update_moved_songs
from genre.collection.moved_songs import last_catalogue
from genre.core.files import write_parquet

SONGS = {f"hiphop/{n}.mp3": f"hiphop {n}" for n in range(4)} | {"rock/r.mp3": "rock", "rock/s": "s"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with six songs in the last catalogue, each with its artist in the manifest."""
    root = tmp_path / "project"
    raw = write_tree(root / "data/raw", SONGS)
    rows = "".join(f"{path},{path[:3]},Artist of {path}\n" for path in SONGS)
    (raw / "manifest.csv").write_text(f"path,genre,artist\n{rows}")
    write_catalogue(root)
    return root


def write_catalogue(root: Path) -> None:
    songs = [
        (path, hashlib.sha256(content).hexdigest()) for path, content in songs_in(root).items()
    ]
    write_parquet(root / "data/catalogue.parquet", pd.DataFrame(songs, columns=["path", "sha256"]))


def output(root: Path) -> list[str]:
    lines: list[str] = []
    update_moved_songs(root, log=lines.append)
    return lines


def artists(root: Path) -> dict[str, str]:
    return {path: row["artist"] for path, row in rows_in(root).items()}


def beside(root: Path) -> list[str]:
    return [name for name in left_behind(root) if name != "catalogue.parquet"]


def test_a_renamed_genre_folder_is_reported_and_its_rows_are_updated(root: Path) -> None:
    raw = root / "data/raw"
    (raw / "hiphop").rename(raw / "hip-hop")
    inode = (raw / "hip-hop/0.mp3").stat().st_ino

    assert output(root) == [
        "data/raw/hip-hop holds 4 songs that were in data/raw/hiphop: the genre folder was renamed",
        "data/raw/manifest.csv: 4 rows were updated to the new paths",
    ]

    assert artists(root)["hip-hop/2.mp3"] == "Artist of hiphop/2.mp3"
    assert rows_in(root)["hip-hop/2.mp3"]["genre"] == "hip-hop"
    assert rows_in(root).keys() == songs_in(root).keys()
    assert (raw / "hip-hop/0.mp3").stat().st_ino == inode
    assert beside(root) == []
    write_catalogue(root)  # as the next run does
    assert output(root) == []


def test_a_song_added_to_the_renamed_folder_does_not_hide_the_renaming(root: Path) -> None:
    raw = root / "data/raw"
    (raw / "hiphop").rename(raw / "hip-hop")
    (raw / "hip-hop/new.mp3").write_text("new")
    (raw / "hip-hop/3.mp3").unlink()

    assert output(root)[0].startswith(
        "data/raw/hip-hop holds 3 songs that were in data/raw/hiphop: "
    )
    assert "new.mp3" not in str(artists(root))


def test_songs_moved_between_genre_folders_keep_their_rows(root: Path) -> None:
    raw = root / "data/raw"
    (raw / "hiphop/0.mp3").rename(raw / "rock/0.mp3")
    (raw / "hiphop/1.mp3").rename(raw / "hiphop/one.mp3")

    assert output(root) == [
        "1 song moved from data/raw/hiphop to data/raw/rock (0.mp3)",
        "1 song in data/raw/hiphop has a new name (one.mp3)",
        "data/raw/manifest.csv: 2 rows were updated to the new paths",
    ]
    assert artists(root)["rock/0.mp3"] == "Artist of hiphop/0.mp3"
    assert artists(root)["hiphop/one.mp3"] == "Artist of hiphop/1.mp3"


def test_another_song_of_the_same_name_gets_no_row(root: Path) -> None:
    raw = root / "data/raw"
    (raw / "hiphop/0.mp3").unlink()
    (raw / "rock/0.mp3").write_text("a song by somebody else")

    assert output(root) == []
    assert "rock/0.mp3" not in rows_in(root)


def test_a_folder_renamed_before_the_last_run_is_found_by_the_names_of_its_songs(
    root: Path,
) -> None:
    raw = root / "data/raw"
    (raw / "hiphop").rename(raw / "hip-hop")
    write_catalogue(root)  # as `dvc repro` does, which changes no manifest

    assert output(root)[-1] == "data/raw/manifest.csv: 4 rows were updated to the new paths"
    assert artists(root)["hip-hop/2.mp3"] == "Artist of hiphop/2.mp3"


def test_two_merged_folders_are_not_a_renaming(root: Path) -> None:
    raw = root / "data/raw"
    (raw / "hiphop").rename(raw / "all")
    shutil.move(raw / "rock/r.mp3", raw / "all/r.mp3")
    shutil.move(raw / "rock/s", raw / "all/s")

    lines = output(root)

    assert lines[0] == "4 songs moved from data/raw/hiphop to data/raw/all (0.mp3, 1.mp3, 2.mp3, …)"
    assert lines[1].startswith("2 songs moved from data/raw/rock to data/raw/all")
    assert len(rows_in(root)) == 6


def test_without_a_manifest_a_renamed_folder_is_only_reported(root: Path) -> None:
    raw = root / "data/raw"
    (raw / "manifest.csv").unlink()
    (raw / "hiphop").rename(raw / "hip-hop")
    before = read_tree(raw)

    assert len(output(root)) == 1
    assert read_tree(raw) == before


def test_commands_that_change_the_collection_keep_all_rows(root: Path, tmp_path: Path) -> None:
    raw = root / "data/raw"
    (raw / "hiphop").rename(raw / "hip-hop")
    add(write_tree(tmp_path / "more", {"jazz/j.mp3": "J"}), root, log=lambda _: None)
    assert artists(root)["hip-hop/2.mp3"] == "Artist of hiphop/2.mp3"

    (raw / "rock/s").rename(raw / "hip-hop/s")
    relabel(["hip-hop"], "rap", root, log=lambda _: None)
    assert artists(root)["rap/2.mp3"] == "Artist of hiphop/2.mp3"
    assert artists(root)["rap/s"] == "Artist of rock/s"


def test_without_moves_or_a_catalogue_nothing_is_reported(root: Path) -> None:
    assert output(root) == []
    (root / "data/catalogue.parquet").write_text("damaged")
    assert output(root) == []
    assert output(root / "nowhere") == []


def test_a_catalogue_without_the_columns_is_ignored(tmp_path: Path) -> None:
    write_parquet(tmp_path / "catalogue.parquet", pd.DataFrame({"path": ["rock/a.wav"]}))

    assert last_catalogue(tmp_path / "raw") == {}
