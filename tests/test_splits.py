"""Examples of splits: groups, shares, errors."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from genre import splits
from genre.audio import SEGMENTS_PER_CLIP
from genre.core.errors import InputError, ParameterError
from genre.splits.groups import artist_key
from genre.splits.protocols import SEGMENTS

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def catalogue(*songs: tuple[str, str | None], **columns: list[Any]) -> pd.DataFrame:
    """A catalogue of (genre, artist); songs are named s000, s001, …"""
    table = pd.DataFrame(songs, columns=["genre", "artist"], dtype="object")
    table["track_id"] = [f"s{number:03d}" for number in range(len(songs))]
    table["path"] = table["genre"] + "/" + table["track_id"] + ".wav"
    table["duplicate_of"] = None
    table["status"] = "ok"
    return table.assign(**columns)


def divide(table: pd.DataFrame, protocol: str = "song", **settings: Any) -> splits.Split:
    chosen: dict[str, Any] = {"shares": SHARES, "seed": 0} | settings
    return splits.split(table, protocol=protocol, **chosen)


def sides(found: splits.Split) -> dict[str, str]:
    return dict(zip(found.table["track_id"], found.table["subset"], strict=True))


def artists(genre: str, *sizes: int) -> list[tuple[str, str | None]]:
    return [(genre, f"{genre} {a}") for a, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("songs", [20, 33, 100])
def test_each_genre_is_split_70_15_15_to_the_nearest_song(songs: int) -> None:
    table = catalogue(*[(genre, None) for genre in ("jazz", "rock") for _ in range(songs)])
    found = divide(table).table.merge(table, on="track_id")
    for _, subset in found.groupby("genre")["subset"]:
        for name, share in SHARES.items():
            assert abs((subset == name).sum() - share * songs) <= 1


def test_genres_that_do_not_divide_evenly_take_turns() -> None:
    table = catalogue(*[(f"genre {number // 10}", None) for number in range(100)])
    assert divide(table).table["subset"].value_counts().to_dict() == {
        "train": 70,
        "validation": 15,
        "test": 15,
    }


def test_an_artists_songs_stay_together_whatever_the_spelling() -> None:
    table = catalogue(*artists("jazz", 6, 3, 3, 3), ("jazz", "  JAZZ   0 "))
    found = divide(table)
    side = sides(found)
    assert len({side[f"s{number:03d}"] for number in (0, 1, 2, 3, 4, 5, 15)}) == 1
    assert found.table["group"].nunique() == 4
    assert found.artist_leak == []


def test_unicode_spellings_of_an_artist_are_equal_and_unknown_artists_are_ignored() -> None:
    assert artist_key("Beyonce\u0301") == artist_key("BEYONC\u00c9")
    for name in (None, float("nan"), "", "  ", "Unknown Artist", "Various  Artists"):
        assert artist_key(name) is None


def test_songs_without_an_artist_are_each_their_own_group_and_are_counted() -> None:
    found = divide(catalogue(*[("jazz", None)] * 10))
    assert found.table["group"].nunique() == 10
    assert found.warnings == ["10 of 10 songs have no artist: each counts as an artist"]


def test_three_artists_give_each_subset_one_with_the_largest_in_training() -> None:
    found = divide(catalogue(*artists("jazz", 10, 2, 2)))
    assert found.table["subset"].value_counts().to_dict() == {
        "train": 10,
        "validation": 2,
        "test": 2,
    }


def test_a_genre_of_two_artists_is_split_by_song_and_named() -> None:
    found = divide(catalogue(*artists("jazz", 10, 10), *artists("rock", *[2] * 10)))
    assert found.artist_leak == ["jazz"]
    assert "jazz (2)" in found.warnings[0]
    jazz = found.table[found.table["track_id"] < "s020"]
    assert jazz["subset"].value_counts().to_dict() == {"train": 14, "validation": 3, "test": 3}


def test_an_artist_of_a_genre_that_keeps_artists_together_is_grouped_in_every_genre() -> None:
    # given: "guest" plays in jazz (three artists and more) and in pop (two: split by song)
    both: list[tuple[str, str | None]] = [("jazz", "guest"), ("jazz", "guest")]
    pop: list[tuple[str, str | None]] = [("pop", "guest")] * 3 + [("pop", "star")] * 9
    table = catalogue(*artists("jazz", *[2] * 12), *both, *pop)
    for seed in range(5):
        found = divide(table, seed=seed)
        merged = found.table.merge(table, on="track_id")
        # then: nothing of guest's is in another subset, so jazz's test songs are by unseen artists
        assert merged.loc[merged["artist"] == "guest", "subset"].nunique() == 1
        assert merged.loc[merged["artist"] == "star", "subset"].nunique() == 3
        assert found.artist_leak == ["pop"]


def test_copies_stay_together_even_where_the_genre_is_split_by_song() -> None:
    groups = ["a" if number in (0, 7, 13) else None for number in range(20)]
    table = catalogue(*artists("jazz", 20), duplicate_group=groups)
    for seed in range(5):
        side = sides(divide(table, seed=seed))
        assert side["s000"] == side["s007"] == side["s013"]


def test_artists_who_share_a_recording_are_one_group() -> None:
    groups = ["a" if number in (0, 5) else None for number in range(20)]
    found = divide(catalogue(*artists("jazz", *[5] * 4), duplicate_group=groups))
    assert len(set(found.table["subset"][:10])) == 1


def test_songs_that_are_set_aside_are_not_in_the_split() -> None:
    table = catalogue(*[("jazz", None)] * 10)
    table.loc[3, "status"] = "set_aside"
    assert "s003" not in sides(divide(table))


def test_no_test_share_means_no_test_songs() -> None:
    shares = {"train": 0.8, "validation": 0.2, "test": 0.0}
    found = divide(catalogue(*[("jazz", None)] * 10), shares=shares)
    assert found.table["subset"].value_counts().to_dict() == {"train": 8, "validation": 2}


def test_another_seed_draws_other_songs_and_the_same_seed_the_same() -> None:
    table = catalogue(*artists("jazz", *range(1, 12)))
    drawn = [sides(divide(table, seed=seed)) for seed in range(4)]
    assert len({tuple(side.items()) for side in drawn}) == 4
    assert sides(divide(table, seed=2)) == drawn[2]


def test_a_genre_of_one_group_is_refused() -> None:
    table = catalogue(*artists("jazz", 4, 4, 4), *[("pop", "jazz 0")] * 5)
    with pytest.raises(InputError, match=r"no validation songs for pop.*genre add"):
        divide(table)


def test_a_genre_of_two_groups_has_no_test_songs_and_a_warning() -> None:
    found = divide(catalogue(*artists("jazz", 4, 4, 4), ("pop", None), ("pop", None)))
    assert "no test songs for pop" in found.warnings


def test_an_unknown_protocol_is_named_with_a_suggestion() -> None:
    with pytest.raises(ParameterError, match=r"'artists'.*did you mean artist\?"):
        divide(catalogue(("jazz", None)), "artists")


def test_protocol_artist_refuses_a_genre_with_too_few_artists() -> None:
    with pytest.raises(InputError, match=r"fewer than 3 artists: pop \(2\), rock \(1\)"):
        divide(
            catalogue(*artists("jazz", 1, 1, 1), *artists("pop", 5, 5), *artists("rock", 9)),
            "artist",
        )


def test_protocol_artist_keeps_every_artist_in_one_subset() -> None:
    table = catalogue(*artists("jazz", *[3] * 8), *artists("rock", *[2] * 5))
    merged = divide(table, "artist").table.merge(table, on="track_id")
    assert (merged.groupby("artist")["subset"].nunique() == 1).all()


def test_protocol_segment_allocates_segments_separately_and_marks_every_genre_as_leaking() -> None:
    found = divide(catalogue(*[("jazz", None)] * 10, *[("rock", None)] * 10), "segment")
    assert found.table["segment"].tolist() == list(range(10)) * 20
    assert found.table["subset"].value_counts().to_dict() == {
        "train": 140,
        "validation": 30,
        "test": 30,
    }
    assert found.artist_leak == ["jazz", "rock"]
    assert (found.table["group"] == found.table["track_id"]).all()


def test_protocol_segment_uses_the_number_of_segments_of_a_clip() -> None:
    assert SEGMENTS == SEGMENTS_PER_CLIP


def test_protocol_predefined_reads_the_manifests_column() -> None:
    words = ["train", "Valid", "test ", "", None, "train", "validation"]
    found = divide(catalogue(*[("jazz", None)] * 7, split=words), "predefined")
    assert found.table["subset"].tolist() == [
        "train",
        "validation",
        "test",
        "excluded",
        "excluded",
        "train",
        "validation",
    ]


def test_protocol_predefined_lists_genres_with_artists_in_several_subsets() -> None:
    words = ["train", "valid"] * 3 + ["train"] * 3 + ["valid"] * 3
    table = catalogue(*artists("jazz", 2, 2, 2), *artists("rock", 1, 2, 1, 2), split=words)
    found = divide(table, "predefined")
    assert found.artist_leak == ["jazz"]
    assert found.table.groupby("group")["subset"].nunique().max() == 1
    assert "no test songs for jazz, rock" in found.warnings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "valid", "tset"], r"jazz/s002.wav: .*'tset' \(did you mean test\?\)"),
        ([None, None, None], "empty for every usable song"),
        (["valid", "test", "valid"], "no train songs for jazz: every genre needs train and valid"),
    ],
)
def test_a_wrong_predefined_column_is_refused(words: list[str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        divide(catalogue(*[("jazz", None)] * 3, split=words), "predefined")


def test_a_missing_predefined_column_is_named() -> None:
    with pytest.raises(InputError, match="no column 'fault_filtered'"):
        divide(catalogue(*[("jazz", None)] * 3), "predefined", column="fault_filtered")


def test_a_recording_in_several_predefined_subsets_is_refused() -> None:
    table = catalogue(*[("jazz", None)] * 3, split=["train", "valid", "valid"])
    table.loc[2, ["status", "duplicate_of"]] = ["set_aside", "s000"]
    with pytest.raises(InputError, match=r"several subsets: jazz/s000.wav \(train\), jazz/s002"):
        divide(table, "predefined")


def test_a_song_with_a_near_copy_in_an_evaluated_predefined_subset_is_excluded() -> None:
    words = ["train", "valid", "train", "train", "valid", "test", "", "valid", "train", "train"]
    copies = ["a", "a", "a", "b", "b", "b", "c", "c", "d", "d"]
    table = catalogue(*[("jazz", None)] * 10, split=words, duplicate_group=copies)
    found = divide(table, "predefined")
    side = sides(found)
    excluded = [track for track in side if side[track] == "excluded"]
    assert excluded == ["s000", "s002", "s003", "s004", "s006"]
    assert side["s001"] == side["s007"] == "validation"
    assert side["s005"] == "test"
    assert side["s008"] == side["s009"] == "train"
    assert any(
        warning.startswith("excluded, because a copy is in another subset: jazz/s000.wav")
        and warning.endswith("and 1 more")
        for warning in found.warnings
    )
