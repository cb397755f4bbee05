"""Adding songs from folders; removing and relabelling songs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from folders import left_behind, read_tree, rows_in, songs_in, write_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.collection import add, is_demo, relabel, remove
from genre.core.errors import CollectionError

THREE = {"blues/a.mp3": "A", "blues/album/b.mp3": "B", "rock/c.wav": "C"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "music", THREE)


def nothing_was_written(root: Path) -> bool:
    return not (root / "data" / "raw").exists() and (
        not (root / "data").exists() or left_behind(root) == []
    )


def test_a_folder_of_genre_folders_becomes_the_collection(root: Path, source: Path) -> None:
    added = add(source, root)
    assert added.added == ("blues/a.mp3", "blues/album/b.mp3", "rock/c.wav")
    assert songs_in(root) == {name: text.encode() for name, text in THREE.items()}
    assert left_behind(root) == []
    assert not (root / "data/raw/manifest.csv").exists()


def test_the_source_is_copied_and_never_linked(root: Path, source: Path) -> None:
    before = {path: path.stat() for path in source.rglob("*")}
    add(source, root)
    for path, stat in before.items():
        assert path.stat().st_mtime_ns == stat.st_mtime_ns
        assert path.stat().st_nlink == stat.st_nlink
    (source / "blues/a.mp3").write_text("changed")
    assert songs_in(root)["blues/a.mp3"] == b"A"


def test_adding_twice_changes_nothing_at_all(root: Path, source: Path) -> None:
    add(source, root)
    raw = root / "data/raw"
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in raw.rglob("*")}
    inode = raw.stat().st_ino
    again = add(source, root)
    assert again.added == ()
    assert again.already == 3
    assert raw.stat().st_ino == inode
    assert before == {
        path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in raw.rglob("*")
    }


def test_existing_songs_keep_their_inode_when_songs_are_added(
    root: Path, source: Path, tmp_path: Path
) -> None:
    add(source, root)
    song = root / "data/raw/blues/a.mp3"
    inode = song.stat().st_ino
    add(write_tree(tmp_path / "more", {"jazz/d.mp3": "D"}), root)
    assert (song.stat().st_ino, song.stat().st_nlink) == (inode, 1)
    assert set(songs_in(root)) == {*THREE, "jazz/d.mp3"}


def test_the_same_content_is_recognised_under_another_name(
    root: Path, source: Path, tmp_path: Path
) -> None:
    add(source, root)
    added = add(write_tree(tmp_path / "more", {"blues/other name.mp3": "A"}), root)
    assert (added.added, added.already) == ((), 1)


def test_the_same_content_under_another_genre_is_reported_and_left_out(
    root: Path, source: Path, tmp_path: Path
) -> None:
    add(source, root)
    added = add(write_tree(tmp_path / "more", {"jazz/a.mp3": "A"}), root)
    assert added.added == ()
    assert added.elsewhere == (("jazz/a.mp3", "blues/a.mp3"),)
    assert set(songs_in(root)) == set(THREE)


def test_copies_within_one_source_are_kept_for_ingest_to_find(root: Path, tmp_path: Path) -> None:
    source = write_tree(
        tmp_path / "twins", {"jazz/a.mp3": "A", "jazz/b.mp3": "A", "pop/a.mp3": "A"}
    )
    assert len(add(source, root).added) == 3
    assert add(source, root).already == 3


def test_another_song_with_the_same_path_is_renamed(
    root: Path, source: Path, tmp_path: Path
) -> None:
    add(source, root)
    other = write_tree(tmp_path / "other", {"blues/a.mp3": "something else"})
    mark = hashlib.sha256(b"something else").hexdigest()[:8]
    added = add(other, root)
    assert added.added == (f"blues/a-{mark}.mp3",)
    assert added.renamed == (("blues/a.mp3", f"blues/a-{mark}.mp3"),)
    assert songs_in(root)["blues/a.mp3"] == b"A"
    assert add(other, root).already == 1


def test_a_song_and_a_folder_of_the_same_name_are_both_added(root: Path, tmp_path: Path) -> None:
    add(write_tree(tmp_path / "one", {"blues/x": "1", "jazz/y/z.mp3": "2"}), root)
    added = add(write_tree(tmp_path / "two", {"blues/x/w.mp3": "3", "jazz/y": "4"}), root)
    assert len(added.added) == 2
    assert set(songs_in(root).values()) == {b"1", b"2", b"3", b"4"}
    assert "blues/x-w.mp3" in added.added


def test_files_that_are_not_songs_are_skipped_and_counted(root: Path, source: Path) -> None:
    write_tree(
        source, {"blues/cover.JPG": "", "readme.md": "", "blues/.hidden.mp3": "", ".x/y.mp3": ""}
    )
    added = add(source, root)
    assert len(added.added) == 3
    assert added.skipped == (("not songs", 3),)
    assert set(songs_in(root)) == set(THREE)


def test_a_file_with_an_unknown_suffix_is_added_for_ingest_to_check(
    root: Path, tmp_path: Path
) -> None:
    source = write_tree(
        tmp_path / "odd", {"jazz/song": "?", "jazz/tape.dat": "?!", "jazz/none.mp3": ""}
    )
    assert len(add(source, root).added) == 3


def test_a_manifest_describes_songs_and_its_further_columns_are_kept(
    root: Path, source: Path
) -> None:
    manifest = (
        "path,artist,title,mood\n"
        'blues/a.mp3,Ann,"One, two",sad\n'
        ".\\rock\\c.wav,Cem,Three,\n"
        "blues/gone.mp3,Nobody,Gone,\n"
    )
    write_tree(source, {"manifest.csv": "\ufeff" + manifest})
    added = add(source, root)
    assert added.unmatched == 1
    assert added.skipped == ()
    rows = rows_in(root)
    assert list(rows) == ["blues/a.mp3", "rock/c.wav"]
    assert rows["blues/a.mp3"] == {
        "path": "blues/a.mp3",
        "genre": "blues",
        "artist": "Ann",
        "title": "One, two",
        "licence": "",
        "source": "",
        "mood": "sad",
    }
    assert rows["rock/c.wav"]["artist"] == "Cem"


def test_a_later_manifest_fills_empty_cells(root: Path, source: Path) -> None:
    write_tree(source, {"manifest.csv": "path,artist\nblues/a.mp3,Ann\n"})
    add(source, root)
    write_tree(
        source, {"manifest.csv": "path,artist,title\nblues/a.mp3,Bob,One\nrock/c.wav,Cem,\n"}
    )
    added = add(source, root)
    assert (added.added, added.already, added.described) == ((), 3, 2)
    rows = rows_in(root)
    assert (rows["blues/a.mp3"]["artist"], rows["blues/a.mp3"]["title"]) == ("Ann", "One")
    assert rows["rock/c.wav"]["artist"] == "Cem"
    assert add(source, root).described == 0


def test_songs_at_the_top_take_their_genre_from_the_manifest_alone(
    root: Path, tmp_path: Path
) -> None:
    source = write_tree(
        tmp_path / "flat",
        {
            "one.mp3": "1",
            "two.mp3": "2",
            "three.mp3": "3",
            "jazz/four.mp3": "4",
            "manifest.csv": "path,genre\none.mp3, Hip-Hop \ntwo.mp3,\njazz/four.mp3,blues\n",
        },
    )
    added = add(source, root)
    assert added.added == ("Hip-Hop/one.mp3", "jazz/four.mp3")
    assert added.skipped == (("without a genre", 2),)
    assert rows_in(root)["jazz/four.mp3"]["genre"] == "jazz"  # the folder wins
    assert rows_in(root)["Hip-Hop/one.mp3"]["genre"] == "Hip-Hop"


def test_rows_are_matched_in_any_unicode_normal_form(root: Path, tmp_path: Path) -> None:
    source = write_tree(
        tmp_path / "accents",
        {
            "jazz/Se\u0301culaire.mp3": "x",
            "manifest.csv": "path,artist\njazz/S\u00e9culaire.mp3,Wa\n",
        },
    )
    add(source, root)
    (row,) = rows_in(root).values()
    assert row["artist"] == "Wa"
    assert (root / "data/raw" / row["path"]).is_file()


def test_control_characters_in_file_names_become_underscores(root: Path, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "odd", {"jazz/a\nb\x1b.mp3": "1", "jazz/c\\d.mp3": "2"})
    (source / os.fsdecode(b"jazz/\xff.mp3")).write_bytes(b"3")
    added = add(source, root)
    assert set(added.added) == {"jazz/a_b_.mp3", "jazz/c_d.mp3", "jazz/_.mp3"}
    assert len(added.renamed) == 3


def test_a_link_that_stays_inside_is_copied_as_the_file_it_names(root: Path, source: Path) -> None:
    (source / "blues/link.mp3").symlink_to(source / "rock/c.wav")
    (source / "again").symlink_to(source / "blues")
    (source / "blues/nothing.mp3").symlink_to(source / "nothing")
    os.mkfifo(source / "rock/pipe.mp3")
    added = add(source, root)
    copied = root / "data/raw/blues/link.mp3"
    assert copied.read_bytes() == b"C"
    assert not copied.is_symlink()
    assert added.skipped == (("links or devices", 3),)


@pytest.mark.parametrize("target", ["secret.mp3", "."])
def test_a_link_out_of_the_source_is_refused(
    root: Path, source: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "secret.mp3").write_text("secret")
    (source / "blues/link.mp3").symlink_to(tmp_path / target)
    with pytest.raises(CollectionError, match=r"blues/link.mp3: is a link out of music"):
        add(source, root)
    assert nothing_was_written(root)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no songs; expected a folder for each genre"),
        ({"a.mp3": "1", "b.mp3": "2"}, "2 at the top without a genre"),
        ({"blues/notes.txt": ""}, "holds no songs"),
        ({"blues /a.mp3": ""}, "genre 'blues ' .* space"),
        ({"a.mp3": "", "manifest.csv": "path,genre\na.mp3,Rock/Pop\n"}, "'Rock/Pop' holds a slash"),
        ({"a.mp3": "", "manifest.csv": "path,genre\na.mp3,..\n"}, "starts with a dot"),
        ({"bl\nues/a.mp3": ""}, "control character"),
        ({"blues/a.mp3": "", "manifest.csv": "song,genre\n"}, "expected one named path"),
        ({"blues/a.mp3": "", "manifest.csv": "path,title\na,b,c\n"}, "line 2 has more cells"),
        ({"blues/a.mp3": "", "manifest.csv": b"path\n\xff\xfe\n"}, "is not UTF-8"),
        ({"blues/a.mp3": "", "manifest.csv": 'path\n"a\n'}, "cannot be read as CSV"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_and_nothing_is_written(
    root: Path, tmp_path: Path, files: dict[str, str | bytes], message: str
) -> None:
    source = write_tree(tmp_path / "bad", files)
    source.mkdir(exist_ok=True)
    with pytest.raises(CollectionError, match=message):
        add(source, root)
    assert nothing_was_written(root)


def test_a_missing_source_and_a_file_that_is_not_an_archive_are_refused(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(CollectionError, match="no such folder or archive"):
        add(tmp_path / "nowhere", root)
    song = write_tree(tmp_path / "x", {"song.mp3": "not an archive"}) / "song.mp3"
    with pytest.raises(CollectionError, match=r"song.mp3: cannot be unpacked as zip, tar"):
        add(song, root)
    with pytest.raises(CollectionError, match="is a folder"):
        add(tmp_path / "x", root, sha256="0" * 64)
    assert nothing_was_written(root)


@pytest.mark.parametrize("inside", ["data/raw", "data/raw/blues", "data", "."])
def test_the_collection_is_not_added_to_itself(root: Path, source: Path, inside: str) -> None:
    add(source, root)
    with pytest.raises(CollectionError, match="itself"):
        add(root / inside, root)


def test_a_dvc_file_of_a_missing_collection_stops_a_new_one(root: Path, source: Path) -> None:
    write_tree(root, {"data/raw.dvc": "outs: []"})
    with pytest.raises(
        CollectionError, match=r"data/raw.dvc refers to a collection that is missing"
    ):
        add(source, root)


def test_a_linked_folder_or_a_broken_link_in_the_collection_is_refused(
    root: Path, source: Path, tmp_path: Path
) -> None:
    add(source, root)
    (root / "data/raw/pop").symlink_to(source / "rock")
    with pytest.raises(CollectionError, match="is a link to a folder"):
        remove(["blues/a.mp3"], root)
    (root / "data/raw/pop").unlink()
    (root / "data/raw/rock/d.mp3").symlink_to(tmp_path / "nothing")
    with pytest.raises(CollectionError, match="is a broken link"):
        remove(["blues/a.mp3"], root)


def test_a_collection_on_another_disk_stays_there(root: Path, source: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk" / "songs"
    disk.mkdir(parents=True)
    (root / "data").mkdir(parents=True)
    (root / "data/raw").symlink_to(disk)
    add(source, root)
    assert (root / "data/raw").is_symlink()
    assert set(read_tree(disk)) == set(THREE)
    assert [path.name for path in disk.parent.iterdir()] == ["songs"]


def test_hidden_files_and_other_things_in_the_collection_are_kept(root: Path, source: Path) -> None:
    write_tree(root / "data/raw", {".gitkeep": "", "notes.txt": "mine"})
    add(source, root)
    assert songs_in(root)["notes.txt"] == b"mine"
    assert ".gitkeep" in songs_in(root)


def test_songs_are_removed_by_path_by_path_from_here_by_track_id_and_by_folder(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(
        source,
        {"rock/d.wav": "D", "rock/e.wav": "E", "manifest.csv": "path\nrock/c.wav\nblues/a.mp3\n"},
    )
    add(source, root)
    monkeypatch.chdir(root)
    track_id = hashlib.sha256(b"C").hexdigest()[:16]
    here = Path()
    assert remove([track_id, "data/raw/rock/d.wav"], here) == ["rock/c.wav", "rock/d.wav"]
    assert list(rows_in(root)) == ["blues/a.mp3"]
    assert remove(["blues", "rock/e.wav"], here) == [
        "blues/a.mp3",
        "blues/album/b.mp3",
        "rock/e.wav",
    ]
    assert songs_in(root) == {}
    assert not (root / "data/raw/blues").exists()
    assert len(add(source, root).added) == 5


def test_a_song_is_moved_to_another_genre_and_its_row_with_it(root: Path, source: Path) -> None:
    write_tree(source, {"manifest.csv": "path,artist\nblues/album/b.mp3,Bo\n"})
    add(source, root)
    done = relabel(["blues/album/b.mp3", "rock/c.wav"], "rock", root)
    assert done.moved == (("blues/album/b.mp3", "rock/album/b.mp3"),)
    assert done.unchanged == 1
    assert set(songs_in(root)) == {"blues/a.mp3", "rock/album/b.mp3", "rock/c.wav"}
    row = rows_in(root)["rock/album/b.mp3"]
    assert (row["genre"], row["artist"]) == ("rock", "Bo")
    added = add(source, root)
    assert added.elsewhere == (("blues/album/b.mp3", "rock/album/b.mp3"),)


def test_a_moved_song_does_not_overwrite_another(root: Path, tmp_path: Path) -> None:
    add(write_tree(tmp_path / "x", {"blues/a.mp3": "1", "rock/a.mp3": "2"}), root)
    ((_, new),) = relabel(["blues/a.mp3"], "rock", root).moved
    assert new.startswith("rock/a-")
    assert set(songs_in(root).values()) == {b"1", b"2"}


def test_unknown_songs_are_all_named_and_nothing_changes(root: Path, source: Path) -> None:
    add(source, root)
    with pytest.raises(CollectionError, match=r"bleus/a.mp3 \(did you mean blues/a.mp3\?\), nope"):
        remove(["rock/c.wav", "bleus/a.mp3", "nope"], root)
    with pytest.raises(CollectionError, match="not in"):
        relabel(["../music/blues/a.mp3"], "rock", root)
    with pytest.raises(CollectionError, match="holds a slash"):
        relabel(["rock/c.wav"], "a/b", root)
    assert set(songs_in(root)) == set(THREE)


def test_real_songs_and_an_empty_collection_are_not_demo_songs(root: Path, source: Path) -> None:
    assert not is_demo(root / "data/raw")
    add(source, root)
    assert not is_demo(root / "data/raw")


names = st.sampled_from(["a.mp3", "b.mp3", "x/a.mp3", "a", "a/b.mp3"])
trees = st.dictionaries(
    st.tuples(st.sampled_from(["jazz", "pop"]), names).map("/".join),
    st.sampled_from([b"1", b"2", b"3", b"44"]),
    min_size=1,
).filter(lambda tree: not any(f"{one}/" in other for one in tree for other in tree))


@given(st.lists(trees, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_song_is_lost_or_added_twice_in_any_order_of_additions(
    tmp_path_factory: pytest.TempPathFactory, offered: list[dict[str, bytes]]
) -> None:
    place = tmp_path_factory.mktemp("any")
    held: dict[str, bytes] = {}
    for number, tree in enumerate(offered):
        source = write_tree(place / f"source{number}", dict(tree))
        added = add(source, place)
        now = songs_in(place)
        # Nothing that was there has changed, and everything reported as added is new.
        assert held.items() <= now.items()
        assert set(now) - set(held) == set(added.added)
        # Every content that was offered is there, in its genre or in the one reported.
        assert set(tree.values()) <= set(now.values())
        assert len(added.added) + added.already + len(added.elsewhere) == len(tree)
        assert read_tree(source) == tree
        assert add(source, place).added == ()
        held = now
    assert left_behind(place) == []
