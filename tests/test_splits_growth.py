"""Splits of a growing collection: old songs stay, groups stay together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from test_splits import SHARES, artists, catalogue, divide, sides

from genre.core.errors import InputError
from genre.core.files import write_parquet


def test_old_songs_stay_and_new_ones_fill_the_shares() -> None:
    table = catalogue(*[("jazz", None)] * 60)
    first = divide(table[:20])
    grown = divide(table, previous=first.table)
    assert sides(grown).items() >= sides(first).items()
    assert grown.table["subset"].value_counts().to_dict() == {
        "train": 42,
        "validation": 9,
        "test": 9,
    }


def test_new_songs_of_a_known_artist_join_their_subset_and_group() -> None:
    table = catalogue(*artists("jazz", 3, 3, 3, 3, 3), ("jazz", "jazz 2"))
    first = divide(table[:15])
    grown = divide(table, previous=first.table).table.set_index("track_id")
    assert grown.loc["s015"].equals(grown.loc["s006"])


def test_a_new_genre_is_split_beside_the_old_ones() -> None:
    table = catalogue(*[("jazz", None)] * 20, *[("rock", None)] * 20)
    grown = divide(table, previous=divide(table[:20]).table)
    assert grown.table["subset"][20:].value_counts().to_dict() == {
        "train": 14,
        "validation": 3,
        "test": 3,
    }


def test_a_song_linked_to_two_subsets_is_excluded_alone() -> None:
    # given: a new song by an artist of one subset that is a copy of a song of another subset
    table = catalogue(*artists("jazz", *[2] * 10), ("jazz", "jazz 0"), ("jazz", "jazz 0"))
    first = divide(table[:20])
    side = sides(first)
    other = next(track for track in side if side[track] != side["s000"])
    copies = ["d" if track in (other, "s020") else None for track in table["track_id"]]
    # when
    grown = divide(table.assign(duplicate_group=copies), previous=first.table)
    # then: the subsets stay, and the artist's next song joins its own
    found = sides(grown)
    assert found.items() >= side.items()
    assert found["s020"] == "excluded"
    assert found["s021"] == side["s000"]
    assert (
        "excluded, because of its artist or copies in several subsets: jazz/s020.wav"
        in grown.warnings
    )


def test_of_new_songs_that_link_two_subsets_only_together_one_is_excluded() -> None:
    table = catalogue(*[("jazz", None)] * 20, ("jazz", "new"), ("jazz", "new"))
    first = divide(table[:20])
    side = sides(first)
    one, two = "s000", next(track for track in side if side[track] != side["s000"])
    names = {one: "d", "s020": "d", two: "e", "s021": "e"}
    copies = [names.get(track) for track in table["track_id"]]
    found = sides(divide(table.assign(duplicate_group=copies), previous=first.table))
    assert (found["s020"], found["s021"]) == (side[one], "excluded")


def test_copies_in_two_subsets_that_are_found_later_are_excluded() -> None:
    table = catalogue(*[("jazz", None)] * 20)
    first = divide(table)
    side = sides(first)
    train = next(track for track in side if side[track] == "train")
    test = next(track for track in side if side[track] == "test")
    copies = ["d" if track in (train, test) else None for track in table["track_id"]]
    grown = divide(table.assign(duplicate_group=copies), previous=first.table)
    assert sides(grown) == side | {test: "excluded"}
    assert f"excluded, because a copy is in another subset: jazz/{test}.wav" in grown.warnings


def test_removed_songs_vanish_and_a_relabelled_song_keeps_its_subset() -> None:
    table = catalogue(*[("jazz", None)] * 20, *[("rock", None)] * 20)
    first = divide(table)
    changed = table.drop(index=[0, 5]).assign(
        genre=lambda t: t["genre"].where(t["track_id"] != "s010", "rock")
    )
    found = sides(divide(changed, previous=first.table))
    assert found == {track: side for track, side in sides(first).items() if track in found}
    assert len(found) == 38


def test_a_genre_that_was_split_by_song_is_still_listed() -> None:
    # given: two artists in all subsets; later a third and a fourth
    table = catalogue(*artists("jazz", 10, 10, 5, 5), ("jazz", "jazz 0"))
    first = divide(table[:20])
    grown = divide(table, previous=first.table)
    merged = grown.table.merge(table, on="track_id")
    # then: new artists stay together, old ones cannot, and the leak is listed
    assert merged[merged["artist"] == "jazz 2"]["subset"].nunique() == 1
    assert sides(grown)["s030"] == "excluded"
    assert grown.artist_leak == ["jazz"]


def test_a_new_song_that_links_two_artists_does_not_undo_keeping_artists_together() -> None:
    table = catalogue(*artists("jazz", 6, 6, 6), ("jazz", "jazz 0"), ("jazz", "jazz 2"))
    copies = ["d" if number in (6, 18) else None for number in range(20)]
    first = divide(table[:18])
    grown = divide(table.assign(duplicate_group=copies), previous=first.table)
    assert grown.artist_leak == []
    assert sides(grown)["s018"] == "excluded"
    assert sides(grown)["s019"] == sides(first)["s012"]


def test_a_song_that_returns_gets_another_group_name_if_its_own_is_taken() -> None:
    table = catalogue(*artists("jazz", *[3] * 8))
    first = divide(table)
    without = divide(table.drop(index=0), previous=first.table)
    renamed = table.assign(artist=table["artist"].where(table["track_id"] != "s000", "somebody"))
    back = divide(renamed, previous=without.table).table.set_index("track_id")["group"]
    assert back["s000"] != back["s001"] == "s000"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"shares": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        {"protocol": "artist"},
    ],
)
def test_other_settings_draw_a_new_split(change: dict[str, object]) -> None:
    table = catalogue(*artists("jazz", *range(1, 12)))
    first = divide(table)
    again = divide(table, previous=first.table, **change)  # type: ignore[arg-type]
    assert again.table.equals(divide(table, **change).table)  # type: ignore[arg-type]
    assert first.table.attrs["settings"] != again.table.attrs["settings"]


def test_protocol_artist_refuses_an_old_split_that_no_longer_keeps_artists_apart() -> None:
    table = catalogue(*artists("jazz", *[2] * 10))
    first = divide(table, "artist")
    side = sides(first)
    other = next(track for track in side if side[track] != side["s000"])
    renamed = table.assign(artist=table["artist"].where(table["track_id"] != other, "jazz 0"))
    with pytest.raises(InputError, match=r"change split\.reseed"):
        divide(renamed, "artist", previous=first.table)


def test_segments_of_old_songs_stay_where_they_are() -> None:
    table = catalogue(*[("jazz", None)] * 9)
    first = divide(table[:5], "segment").table
    grown = divide(table, "segment", previous=first).table
    assert grown[:50].equals(first)


def test_a_split_survives_parquet_with_its_settings_and_is_repeated_to_the_byte(
    tmp_path: Path,
) -> None:
    table = catalogue(*artists("jazz", 4, 4), *artists("rock", *[2] * 9))
    for name in ("one", "two"):
        write_parquet(tmp_path / name, divide(table).table)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = pd.read_parquet(tmp_path / "one")
    assert read.attrs == {
        "settings": {"protocol": "song", "shares": SHARES, "seed": 0},
        "artist_leak": ["jazz"],
    }
    assert divide(table, previous=read).table.equals(read)
