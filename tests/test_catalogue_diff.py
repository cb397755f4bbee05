"""The comparison of two catalogues."""

from __future__ import annotations

import pandas as pd

from genre.collection.catalogue_diff import COLUMNS, compare, renamed

BEFORE = [
    ("a", "jazz/a.mp3", "jazz", "ok", None),
    ("b", "rock/b.mp3", "rock", "ok", None),
    ("c", "rock/c.mp3", "rock", "ok", None),
    ("x", "rock/x.mp3", "rock", "set_aside", "silent"),
]
AFTER = [
    ("a", "jazz/other name.mp3", "jazz", "ok", None),
    ("b", "jazz/b.mp3", "jazz", "ok", None),
    ("d", "pop/d.mp3", "pop", "ok", None),
    ("x", "rock/x.mp3", "rock", "set_aside", "silent"),
    ("d", "pop/copy.mp3", "pop", "set_aside", "duplicate of pop/d.mp3"),
]


def table(rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def records(frame):
    return frame.to_dict("records")


def test_added_removed_moved_and_set_aside_songs_are_listed():
    found = compare(table(BEFORE), table(AFTER))

    assert found
    assert found.songs == 3
    assert records(found.added) == [{"path": "pop/d.mp3", "genre": "pop"}]
    assert records(found.removed) == [{"path": "rock/c.mp3", "genre": "rock"}]
    assert records(found.relabelled) == [{"path": "jazz/b.mp3", "was": "rock", "genre": "jazz"}]
    assert records(found.set_aside) == [
        {"path": "pop/copy.mp3", "genre": "pop", "reason": "duplicate of pop/d.mp3"}
    ]


def test_equal_catalogues_have_no_changes():
    assert not compare(table(BEFORE), table(BEFORE))


def test_at_first_every_song_is_new():
    found = compare(None, table(BEFORE))

    assert list(found.added["path"]) == ["jazz/a.mp3", "rock/b.mp3", "rock/c.mp3"]
    assert list(found.set_aside["path"]) == ["rock/x.mp3"]
    assert not len(found.removed)


def genres(**songs):
    rows = [(song, genre) for genre, names in songs.items() for song in names]
    return pd.DataFrame(rows, columns=["track_id", "genre"])


def test_a_genre_whose_songs_all_have_a_new_genre_was_renamed():
    before = genres(hiphop="abcd", rock="ef")
    assert renamed(before, genres(hip_hop="abcd", rock="ef")) == {"hiphop": "hip_hop"}
    assert renamed(before, genres(hip_hop="abcx", rock="ef")) == {"hiphop": "hip_hop"}
    assert renamed(before, genres(hip_hop="ab", rap="cd", rock="ef")) == {}
    assert renamed(before, genres(rock="abcdef")) == {}
    assert renamed(before, genres(everything="abcdef")) == {}
    assert renamed(before, genres(hiphop="a", hip_hop="bcd", rock="ef")) == {}
    assert renamed(before, before) == {}


def test_songs_that_were_removed_do_not_count_in_a_rename():
    before = genres(hiphop="abcd", rock="ef")
    assert renamed(before, genres(hip_hop="a", rock="ef")) == {"hiphop": "hip_hop"}


def test_a_genre_made_of_songs_of_one_that_is_still_there_was_not_renamed():
    before = genres(jazz="abc", rock="ef")
    assert renamed(before, genres(jazz="bc", bebop="a", rock="ef")) == {}
