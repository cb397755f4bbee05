"""The step split under each protocol, and its errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from songs import write_no_duplicates
from test_splits import artists, catalogue

from genre import duplicates
from genre.core.errors import InputError
from genre.core.files import write_parquet
from genre.core.params import Params, load_params
from tasks import split
from tasks.io import paths
from tasks.io.step import BAD_INPUT, step
from tasks.io.tables import read_protocol

Run = Callable[..., str]
SIDES = {"train": "train", "valid": "validation"}  # values in the manifest of real songs


@pytest.fixture
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


@pytest.fixture
def run(params: Params, tmp_path: Path) -> Run:
    """Write the catalogue and run the step under other settings of `split`."""

    def run_step(table: pd.DataFrame, **settings: Any) -> str:
        write_parquet(tmp_path / paths.CATALOGUE, table)
        if not (tmp_path / paths.DUPLICATES).exists():
            write_no_duplicates(tmp_path)
        chosen = params.split.model_copy(update=settings)
        return split.run(params.model_copy(update={"split": chosen}), tmp_path)

    return run_step


@pytest.mark.parametrize("protocol", ["song", "artist", "predefined", "segment"])
def test_the_split_holds_its_protocol(protocol: str, run: Run, tmp_path: Path) -> None:
    words = (["train"] * 14 + ["valid"] * 3 + ["test"] * 3) * 2
    table = catalogue(*artists("jazz", *[1] * 20), *artists("pop", *[2] * 10), split=words)

    assert run(table, protocol=protocol).endswith(f" songs (protocol {protocol})")

    assert read_protocol(tmp_path) == protocol
    written = pd.read_parquet(tmp_path / paths.SPLIT)
    assert written["segment"].isna().all() == (protocol != "segment")
    assert len(written) == (400 if protocol == "segment" else 40)
    assert bool(written.attrs["artist_leak"]) == (protocol in ("predefined", "segment"))


def test_another_protocol_draws_a_new_split_and_coming_back_restores_it(
    run: Run, tmp_path: Path
) -> None:
    table = catalogue(*artists("jazz", *[2] * 10))
    run(table, protocol="song")
    first = (tmp_path / paths.SPLIT).read_bytes()
    run(table, protocol="segment")
    run(table, protocol="song")
    assert (tmp_path / paths.SPLIT).read_bytes() == first


def test_predefined_reads_the_column_that_is_named(run: Run, tmp_path: Path) -> None:
    table = catalogue(*[("jazz", None)] * 3, split=["train"] * 3, other=["valid", "train", "test"])
    assert run(table, protocol="predefined", column="other").startswith("1 train, 1 valid")
    sides = pd.read_parquet(tmp_path / paths.SPLIT)["subset"].tolist()
    assert sides == ["validation", "train", "test"]


FEW = catalogue(*artists("jazz", *[1] * 20), ("pop", None))
ONE_ARTIST = catalogue(*artists("jazz", *[1] * 20), *artists("pop", 12))
COPIED = catalogue(*[("jazz", None)] * 4, split=["train", "valid", "test", "valid"])
COPIED.loc[3, ["status", "duplicate_of"]] = ["set_aside", "s000"]


@pytest.mark.parametrize(
    ("settings", "table", "message"),
    [
        ({"protocol": "song"}, FEW, r"no validation songs for pop: too few songs .*genre add"),
        ({"protocol": "song"}, ONE_ARTIST.assign(duplicate_group=["x"] * 32), "no validation"),
        ({"protocol": "artist"}, ONE_ARTIST, r"fewer than 3 artists: pop \(1\); add songs by"),
        ({"protocol": "segment"}, FEW.assign(status="set_aside"), "no usable songs to split"),
        ({"protocol": "predefined"}, FEW, "the manifest has no column 'split'; found genre,"),
        ({"protocol": "predefined", "column": "fault_filtered"}, COPIED, "'fault_filtered'"),
        (
            {"protocol": "predefined"},
            COPIED,
            r"subsets: jazz/s000.wav \(train\), jazz/s003",
        ),
        (
            {"protocol": "predefined"},
            COPIED.assign(split=["train", "valid", "trian", ""]),
            r"jazz/s002\.wav: .* says 'trian' \(did you mean train\?\); expected train, valid",
        ),
    ],
)
def test_what_cannot_be_split_is_refused_and_the_last_split_stays(
    settings: dict[str, Any], table: pd.DataFrame, message: str, run: Run, tmp_path: Path
) -> None:
    run(catalogue(*artists("jazz", *[1] * 20)))
    before = (tmp_path / paths.SPLIT).read_bytes()

    with pytest.raises(InputError, match=message):
        run(table, **settings)

    assert (tmp_path / paths.SPLIT).read_bytes() == before


def test_a_misspelt_protocol_stops_every_step_before_it_begins(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("protocol: song ", "protocol: predefned "))

    assert step(lambda *_: pytest.fail("the step began"), tmp_path) == BAD_INPUT

    message = capsys.readouterr().err
    assert "split.protocol is 'predefned'" in message
    assert "did you mean predefined?" in message


@pytest.mark.real_audio
def test_predefined_follows_the_manifest_of_real_songs(
    shared_data: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given: the four genres that the manifest splits, catalogued without scanning them
    songs = pd.read_csv(shared_data / "gtzan_dev" / "manifest.csv")
    songs = songs[songs["genre"].isin(["blues", "classical", "jazz", "rock"])]
    table = songs.assign(track_id=songs["path"], duplicate_of=None, status="ok")

    run(table, protocol="predefined")

    # then: each song is where the manifest says, and artists in several subsets are named
    written = pd.read_parquet(tmp_path / paths.SPLIT)
    found = written.set_index("track_id")["subset"]
    output = songs.set_index("path")["split"].map(SIDES).fillna("excluded")
    pd.testing.assert_series_equal(
        found.sort_index(), output.sort_index(), check_names=False, check_dtype=False
    )
    sides = songs.dropna(subset=["artist", "split"]).groupby("artist")["split"].nunique()
    torn = set(sides.index[sides > 1])
    assert set(written.attrs["artist_leak"]) == set(songs[songs["artist"].isin(torn)]["genre"])
    assert "warning: no test songs" in capsys.readouterr().out

    # and: a training song with a near-copy among evaluated ones is excluded
    pair = [songs["path"][songs["split"] == word].iloc[0] for word in ("train", "valid")]
    copies = pd.DataFrame(dict.fromkeys(duplicates.COLUMNS, pair)).assign(duplicate_group="a")
    write_parquet(tmp_path / paths.DUPLICATES, copies)
    run(table, protocol="predefined")
    again = pd.read_parquet(tmp_path / paths.SPLIT).set_index("track_id")["subset"]
    changed = again[again != found]
    assert changed.to_dict() == {pair[0]: "excluded"}


@pytest.mark.real_audio
def test_genres_that_the_manifest_of_real_songs_does_not_split_are_named(
    shared_data: Path, run: Run
) -> None:
    songs = pd.read_csv(shared_data / "gtzan_dev" / "manifest.csv")
    with pytest.raises(InputError, match=r"no train songs for country: every genre needs train"):
        run(
            songs.assign(track_id=songs["path"], duplicate_of=None, status="ok"),
            protocol="predefined",
        )
