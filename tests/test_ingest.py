"""The step ingest: usable songs, and reasons for the others."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import work
from songs import RATE, tone, write, write_collection, write_m4a

from genre.collection.catalogue import COLUMNS
from genre.core.errors import InputError, UnexpectedError
from genre.core.params import Params, load_params
from tasks import ingest
from tasks.io import scanning


@pytest.fixture
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


def catalogue(root: Path, params: Params) -> pd.DataFrame:
    ingest.run(params, root)
    return pd.read_parquet(root / "data/catalogue.parquet").set_index("path", drop=False)


def test_every_song_has_a_row_with_what_is_known_of_it(tmp_path: Path, params: Params) -> None:
    raw = write_collection(tmp_path / "data/raw")
    write(raw / "rock/stereo.flac", tone(5, seed=9, rate=44_100, channels=2), rate=44_100)
    (raw / "manifest.csv").write_text(
        "path,genre,artist,title,licence,source,mood\n"
        "rock/stereo.flac,wrong,The Tests,Assertion,CC0-1.0,made here,calm\n"
    )

    table = catalogue(tmp_path, params)

    row = table.loc["rock/stereo.flac"]
    assert list(table.columns) == [*COLUMNS, "mood"]
    assert len(table) == 9
    assert (table["status"] == "ok").all()
    assert table["track_id"].is_unique
    assert row["track_id"] == row["sha256"][:16]
    assert (row["genre"], row["artist"], row["mood"]) == ("rock", "The Tests", "calm")
    assert (row["seconds"], row["sample_rate"], row["channels"]) == (5, 44_100, 2)
    assert row["codec"] == "FLAC/PCM_16"
    assert table.loc["jazz/jazz0.wav", ["artist", "licence", "mood", "reason"]].isna().all()


def test_tags_of_a_file_are_used_if_the_manifest_has_none(tmp_path: Path, params: Params) -> None:
    import soundfile

    raw = write_collection(tmp_path / "data/raw")
    with soundfile.SoundFile(raw / "jazz/tagged.flac", "w", RATE, 1) as file:
        file.artist, file.title = "From the file", "Tagged"
        file.write(tone(4, seed=50))
    (raw / "manifest.csv").write_text("path,title\njazz/tagged.flac,From the manifest\n")

    row = catalogue(tmp_path, params).loc["jazz/tagged.flac"]

    assert (row["artist"], row["title"]) == ("From the file", "From the manifest")


def test_each_unusable_file_is_set_aside_with_its_reason(
    tmp_path: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write_collection(tmp_path / "data/raw", songs=6)
    bad = raw / "rock"
    (bad / "empty.mp3").touch()
    (bad / "diary.mp3").write_text("not music at all " * 50)
    (bad / "random.wav").write_bytes(np.random.default_rng(0).bytes(9999))
    write(bad / "short.wav", tone(1))
    write(bad / "silent.wav", np.zeros((RATE * 5, 1), dtype=np.float32))
    write(bad / "long.wav", tone(20))
    write_m4a(bad / "broken.m4a", tone(5)[:, 0]).write_bytes(
        (bad / "broken.m4a").read_bytes()[:5000]
    )
    ingest_params = params.ingest.model_copy(update={"max_seconds": 15.0})
    params = params.model_copy(update={"ingest": ingest_params})

    table = catalogue(tmp_path, params)

    aside = table[table["status"] == "set_aside"]["reason"].to_dict()
    printed = capsys.readouterr().out
    assert set(aside) == {f"rock/{path.name}" for path in bad.iterdir() if "rock" not in path.name}
    assert "empty" in aside["rock/empty.mp3"]
    assert "not audio" in aside["rock/diary.mp3"]
    assert "not audio" in aside["rock/random.wav"]
    assert "ingest.min_seconds" in aside["rock/short.wav"]
    assert "ingest.silence_dbfs" in aside["rock/silent.wav"]
    assert "ingest.max_seconds" in aside["rock/long.wav"]
    assert all(path in printed and reason in printed for path, reason in aside.items())


def test_files_that_are_not_songs_and_rows_without_a_song_are_reported(
    tmp_path: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write_collection(tmp_path / "data/raw")
    assert ingest.run(params, tmp_path).endswith("cached)")
    assert capsys.readouterr().out == ""
    shutil.copy(raw / "jazz/jazz0.wav", raw / "lost.wav")
    (raw / "readme.txt").touch()
    (raw / "jazz/.DS_Store").touch()
    (raw / "jazz/gone.mp3").symlink_to("nowhere")
    gone = "".join(f"blues/{number}.mp3,A\n" for number in range(4))
    (raw / "manifest.csv").write_text(f"path,artist\njazz/jazz1.wav,B\n{gone}")

    output = ingest.run(params, tmp_path)

    assert capsys.readouterr().out.splitlines() == [
        "files in no genre folder: 2 (lost.wav, readme.txt), left out; move songs into the folder "
        "of their genre",
        "hidden files: 1 (jazz/.DS_Store), left out",
        "broken links or special files: 1 (jazz/gone.mp3), left out",
        "rows of manifest.csv without a song: 4 (blues/0.mp3, blues/1.mp3, blues/2.mp3, …), their "
        "artists and licences are not used; fix the paths or remove the rows",
    ]
    assert output == (
        "8 songs in 2 genres, 0 set aside (0 scanned, 8 cached); files in no genre folder: 2; "
        "hidden files: 1; broken links or special files: 1; rows of manifest.csv without a "
        "song: 4"
    )


def test_a_song_with_an_unexpected_exception_is_set_aside_and_retried(
    tmp_path: Path, params: Params, in_new_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_new_project
    raw = write_collection(tmp_path / "data/raw")
    write(raw / "rock/odd.wav", tone(5, seed=70))
    broken = partial(work.break_on, names=("odd.wav",))
    with monkeypatch.context() as patched:
        patched.setattr(scanning.catalogue, "scan_song", broken)
        reasons = catalogue(tmp_path, params)["reason"].dropna()

    assert list(reasons.index) == ["rock/odd.wav"]
    assert reasons.iloc[0].startswith("failed with an unexpected ZeroDivisionError: a bug (in ")
    assert catalogue(tmp_path, params).loc["rock/odd.wav", "status"] == "ok"


def test_an_unexpected_exception_of_most_songs_stops_the_run_and_is_shown_once(
    tmp_path: Path,
    params: Params,
    in_new_project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del in_new_project
    write_collection(tmp_path / "data/raw")
    monkeypatch.setattr(scanning.catalogue, "scan_song", partial(work.break_on, names=None))

    with pytest.raises(UnexpectedError, match="8 of 8 songs"):
        ingest.run(params, tmp_path)

    assert capsys.readouterr().out == ""
    assert not (tmp_path / "data/catalogue.parquet").exists()


def test_the_same_audio_in_another_container_is_an_exact_duplicate(
    tmp_path: Path, params: Params
) -> None:
    raw = write_collection(tmp_path / "data/raw")
    y = np.rint(tone(5, seed=77) * 20_000).astype(np.int16)
    write(raw / "jazz/a.wav", y)
    write(raw / "jazz/b.flac", y)
    write(raw / "rock/c.aiff", y)

    table = catalogue(tmp_path, params)

    kept = table.loc["jazz/a.wav"]
    for path in ("jazz/b.flac", "rock/c.aiff"):
        assert table.loc[path, "duplicate_of"] == kept["track_id"]
        assert "exact duplicate of jazz/a.wav" in table.loc[path, "reason"]
    assert "another genre" in table.loc["rock/c.aiff", "reason"]
    assert kept["status"] == "ok"


def test_a_genre_with_fewer_than_three_usable_songs_stops_the_run(
    tmp_path: Path, params: Params
) -> None:
    raw = write_collection(tmp_path / "data/raw", genres=("jazz", "pop", "rock"))
    for name in ("pop1.wav", "pop2.wav", "pop3.wav"):
        (raw / "pop" / name).write_text("no")

    with pytest.raises(InputError, match="pop has 1; every genre needs at least 3"):
        ingest.run(params, tmp_path)
    assert not (tmp_path / "data/catalogue.parquet").exists()


def test_a_genre_without_usable_songs_stops_the_run(tmp_path: Path, params: Params) -> None:
    raw = write_collection(tmp_path / "data/raw")
    (raw / "pop").mkdir()
    (raw / "pop/a.mp3").write_text("no")

    with pytest.raises(InputError, match="pop has 0"):
        ingest.run(params, tmp_path)


def test_too_many_unusable_songs_stop_the_run(tmp_path: Path, params: Params) -> None:
    raw = write_collection(tmp_path / "data/raw")
    for number in range(9):
        (raw / f"rock/bad{number}.mp3").write_text("no")

    with pytest.raises(InputError, match=r"9 of 17 files .* ingest\.max_set_aside \(0\.5\)"):
        ingest.run(params, tmp_path)


def test_a_missing_collection_and_a_single_genre_have_different_messages(
    tmp_path: Path, params: Params
) -> None:
    with pytest.raises(InputError, match="no such folder; add songs first"):
        ingest.run(params, tmp_path)
    write_collection(tmp_path / "data/raw", genres=("jazz",))
    with pytest.raises(InputError, match="expected at least two"):
        ingest.run(params, tmp_path)


@pytest.mark.slow
def test_the_catalogue_is_the_same_bytes_with_any_number_of_workers(
    tmp_path: Path, params: Params
) -> None:
    write_collection(tmp_path / "data/raw")
    written = []
    for workers in (1, 2):
        shutil.rmtree(tmp_path / ".cache", ignore_errors=True)
        compute = params.compute.model_copy(update={"workers": workers})
        catalogue(tmp_path, params.model_copy(update={"compute": compute}))
        written.append((tmp_path / "data/catalogue.parquet").read_bytes())

    assert written[0] == written[1]


@pytest.mark.real_audio
def test_real_songs_are_catalogued_with_their_artists(
    tmp_path: Path, params: Params, shared_data: Path
) -> None:
    raw = tmp_path / "data/raw"
    for genre in ("blues", "jazz"):
        for song in sorted((shared_data / "gtzan_dev" / genre).iterdir())[:3]:
            (raw / genre).mkdir(parents=True, exist_ok=True)
            (raw / genre / song.name).symlink_to(song)
    (raw / "manifest.csv").write_bytes((shared_data / "gtzan_dev/manifest.csv").read_bytes())

    table = catalogue(tmp_path, params)

    assert (table["status"] == "ok").all()
    assert table.loc["blues/blues.00000.flac", "artist"] == "John Lee Hooker"
    assert table["split"].isin(["train", "valid"]).any()
    assert table["seconds"].between(29.9, 30.7).all()
