"""Properties of splits on adversarial and growing collections: no leaks.

Groups are computed here again, in the simplest way, so as not to rely on the code under
test.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from test_splits import SHARES

from genre import splits
from genre.core.errors import InputError

GENRES = ("blues", "jazz", "pop")
EXAMPLES = int(os.environ.get("SPLIT_EXAMPLES", "20"))  # thousands were run once
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)

# Few artists, some in several genres; a few recordings in several copies, across everything.
songs = st.tuples(
    st.sampled_from(GENRES),
    st.one_of(st.none(), st.sampled_from([f"artist {number}" for number in range(9)])),
    st.one_of(st.none(), st.none(), st.sampled_from([f"copies {n}" for n in range(6)])),
)
collections = st.lists(songs, min_size=12, max_size=40)
seeds = st.integers(0, 5)


def table(rows: Iterable[tuple[str, str | None, str | None]], start: int = 0) -> pd.DataFrame:
    columns = ["genre", "artist", "duplicate_group"]
    made = pd.DataFrame(list(rows), columns=columns, dtype="object")
    # Names in random order, like hashes.
    made["track_id"] = [f"{(start + n) * 7919 % 10007:05d}" for n in range(len(made))]
    return made.assign(status="ok", duplicate_of=None, path=made["track_id"])


def divide(catalogue: pd.DataFrame, seed: int, **more: Any) -> splits.Split:
    """Split; skip collections that are rightly refused."""
    try:
        return splits.split(catalogue, **({"protocol": "song", "shares": SHARES} | more), seed=seed)
    except InputError:
        reject()


def on_sides(found: splits.Split, catalogue: pd.DataFrame) -> pd.DataFrame:
    merged = found.table.merge(catalogue, on="track_id", validate="one_to_one")
    assert len(merged) == len(catalogue)
    return merged[merged["subset"] != "excluded"]


def artist_groups(catalogue: pd.DataFrame) -> dict[str, int]:
    """The number of artist groups of each genre, by repeated merging of overlapping sets."""
    sets = [{track} for track in catalogue["track_id"]]
    for column in ("artist", "duplicate_group"):
        for _, together in catalogue.groupby(column)["track_id"]:
            wanted = set(together)
            meeting = [one for one in sets if one & wanted]
            sets = [one for one in sets if not one & wanted] + [set().union(*meeting)]
    genre = dict(zip(catalogue["track_id"], catalogue["genre"], strict=True))
    return {name: sum(any(genre[t] == name for t in one) for one in sets) for name in GENRES}


def assert_no_leak(found: splits.Split, catalogue: pd.DataFrame) -> None:
    used = on_sides(found, catalogue)
    assert (
        found.table.groupby("group")["subset"]
        .apply(lambda s: s[s != "excluded"].nunique())
        .le(1)
        .all()
    ), "a group in several subsets"
    assert used.groupby("duplicate_group")["subset"].nunique().le(1).all(), "copies leak"
    honest = used[~used["genre"].isin(found.artist_leak)]["artist"].dropna().unique()
    of_honest = used[used["artist"].isin(honest)]
    assert of_honest.groupby("artist")["subset"].nunique().le(1).all(), "an artist leaks"


@QUICK
@given(collections, seeds)
def test_no_copy_and_no_artist_is_in_two_subsets(rows: list[Any], seed: int) -> None:
    catalogue = table(rows)
    found = divide(catalogue, seed)
    assert_no_leak(found, catalogue)
    few = {name for name, groups in artist_groups(catalogue).items() if groups < 3}
    assert set(found.artist_leak) == few & set(catalogue["genre"])
    assert "excluded" not in set(found.table["subset"])


@QUICK
@given(collections, seeds)
def test_protocol_artist_leaks_nothing_at_all_or_refuses(rows: list[Any], seed: int) -> None:
    catalogue = table(rows)
    found = divide(catalogue, seed, protocol="artist")
    assert found.artist_leak == []
    assert_no_leak(found, catalogue)


@QUICK
@given(collections, st.randoms(use_true_random=False))
def test_protocol_predefined_leaks_no_copies_and_follows_the_column_otherwise(
    rows: list[Any], random: Any
) -> None:
    catalogue = table(rows)
    words = [random.choice(["train", "train", "validation", "test", ""]) for _ in rows]
    found = divide(catalogue.assign(split=words), 0, protocol="predefined")
    used = on_sides(found, catalogue.assign(split=words))
    assert used.groupby("duplicate_group")["subset"].nunique().le(1).all(), "copies leak"
    assert (used["subset"] == used["split"]).all()
    of_honest = used[~used["genre"].isin(found.artist_leak)]["artist"].dropna().unique()
    apart = used[used["artist"].isin(of_honest)].groupby("artist")["subset"].nunique()
    assert apart.le(1).all(), "an artist in several subsets in a genre that is not named"
    alone = (
        ~catalogue["duplicate_group"].duplicated(keep=False) | catalogue["duplicate_group"].isna()
    )
    output = dict(zip(catalogue["track_id"], words, strict=True))
    side = dict(zip(found.table["track_id"], found.table["subset"], strict=True))
    assert all(side[t] == (output[t] or "excluded") for t in catalogue.loc[alone, "track_id"])


@pytest.mark.slow
@QUICK
@given(st.lists(collections, min_size=2, max_size=4), seeds, st.randoms(use_true_random=False))
def test_growth_keeps_groups_together_and_old_songs_in_their_subset(
    batches: list[list[Any]], seed: int, random: Any
) -> None:
    catalogue = table(batches[0])
    found = divide(catalogue, seed)
    start = len(catalogue)
    for batch in batches[1:]:
        new = table(batch[: random.randint(1, 12)], start)
        start += len(new)
        kept = catalogue.drop(index=random.sample(list(catalogue.index), random.randint(0, 2)))
        catalogue = pd.concat([kept, new], ignore_index=True)
        grown = divide(catalogue, seed, previous=found.table)
        old = found.table[found.table["track_id"].isin(catalogue["track_id"])]
        again = grown.table[grown.table["track_id"].isin(old["track_id"])]
        assert again.reset_index(drop=True).equals(old.reset_index(drop=True))
        assert_no_leak(grown, catalogue)
        found = grown


@pytest.mark.slow
@QUICK
@given(collections, collections, seeds)
def test_copies_found_later_never_stay_in_two_subsets(
    rows: list[Any], more: list[Any], seed: int
) -> None:
    without = table([(genre, artist, None) for genre, artist, _ in rows])
    first = divide(without, seed)
    catalogue = pd.concat([table(rows), table(more, len(rows))], ignore_index=True)
    grown = divide(catalogue, seed, previous=first.table)
    used = on_sides(grown, catalogue)
    assert used.groupby("duplicate_group")["subset"].nunique().le(1).all()
    before = first.table.set_index("track_id")["subset"]
    after = grown.table.set_index("track_id")["subset"].reindex(before.index)
    assert ((after == before) | (after == "excluded")).all()


@QUICK
@given(collections, seeds, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[Any], seed: int, random: Any) -> None:
    catalogue = table(rows)
    order = random.sample(list(catalogue.index), len(catalogue))
    assert divide(catalogue.loc[order], seed).table.equals(divide(catalogue, seed).table)


@QUICK
@given(
    st.lists(st.lists(st.integers(1, 12), min_size=3, max_size=8), min_size=1, max_size=3), seeds
)
def test_a_genre_with_three_groups_of_its_own_reaches_every_subset(
    sizes: list[list[int]], seed: int
) -> None:
    rows = [
        (genre, f"{genre} {artist}", None)
        for genre, groups in zip(GENRES, sizes, strict=False)
        for artist, size in enumerate(groups)
        for _ in range(size)
    ]
    catalogue = table(rows)
    found = splits.split(catalogue, protocol="song", shares=SHARES, seed=seed)
    for _, subsets in on_sides(found, catalogue).groupby("genre")["subset"]:
        assert set(subsets) == set(splits.SUBSETS)


@QUICK
@given(st.integers(5, 300), st.integers(0, 300), seeds)
def test_ungrouped_songs_are_split_to_the_nearest_song_at_first_and_under_growth(
    songs: int, more: int, seed: int
) -> None:
    catalogue = table([("jazz", None, None)] * (songs + more))
    first = splits.split(catalogue[:songs], protocol="song", shares=SHARES, seed=seed)
    grown = splits.split(catalogue, protocol="song", shares=SHARES, seed=seed, previous=first.table)
    for found, total in ((first, songs), (grown, songs + more)):
        counts = found.table["subset"].value_counts()
        for subset, share in SHARES.items():
            assert abs(counts[subset] - share * total) <= 1


def test_the_strategies_produce_the_intended_cases() -> None:
    """Ensure that the examples are not all discarded."""
    seen: dict[str, int] = defaultdict(int)

    @settings(QUICK, max_examples=40)
    @given(collections, seeds)
    def look(rows: list[Any], seed: int) -> None:
        found = divide(table(rows), seed)
        seen["kept" if not found.artist_leak else "by song"] += 1

    look()
    assert min(seen["kept"], seen["by song"]) >= 3, dict(seen)
