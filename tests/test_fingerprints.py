"""Acoustic fingerprints: copies of a recording are found, and nothing else."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import soundfile
from songs import write, write_m4a

from genre import duplicates as fingerprints
from genre.core.errors import AudioError
from genre.duplicates import Fingerprint, Match, subfingerprints

RATE = 22_050
Samples = npt.NDArray[np.float32]
SECOND = fingerprints.SUBFINGERPRINTS_PER_SECOND
LIMITS = {"min_length": round(5 * SECOND), "max_bit_error": 0.3}


def melody(seconds: float, seed: int) -> Samples:
    """Plucked notes at random times and pitches over faint noise: float32, shape=(n,)."""
    random = np.random.default_rng(seed)
    y = 0.002 * random.standard_normal(round(seconds * RATE))
    time = np.arange(RATE // 2) / RATE
    for start in random.uniform(0, seconds - 0.5, round(10 * seconds)):
        pitch = 110 * 2 ** (random.integers(0, 40) / 12)
        note = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in (1, 2, 3))
        begin = round(start * RATE)
        y[begin : begin + len(time)] += 0.1 * note * np.exp(-6 * time)
    return (0.4 * y / np.abs(y).max()).astype(np.float32)


def fingerprint_file(path: Path) -> Fingerprint:
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return fingerprints.from_bytes(fingerprints.fingerprint_song(path, content))


def fingerprint(y: Samples, rate: int = RATE) -> Fingerprint:
    return subfingerprints([y], rate)


def found(*prints: Fingerprint) -> list[Match]:
    return fingerprints.matches(prints, min_length=LIMITS["min_length"], max_bit_error=0.3)


@pytest.fixture(scope="module")
def song() -> Samples:
    return melody(24, seed=1)


@pytest.fixture(scope="module")
def others() -> list[Fingerprint]:
    return [fingerprint(melody(20, seed)) for seed in range(2, 8)]


def file_of(song: Samples, kind: str, folder: Path) -> Path:
    """A copy of `song` in a file."""
    import soxr

    if kind == "mp3":
        options = {"compression_level": 0.9, "bitrate_mode": "CONSTANT"}  # 24 kbit/s
        return write(folder / "a.mp3", song, **options)
    if kind == "ogg":
        return write(folder / "a.ogg", song)
    if kind == "m4a":
        return write_m4a(folder / "a.m4a", song)
    if kind == "stereo":
        stereo = np.stack([song, 0.5 * song], axis=1)
        return write(folder / "a.wav", soxr.resample(stereo, RATE, 44_100), rate=44_100)
    if kind == "16 kHz":
        return write(folder / "a.flac", soxr.resample(song, RATE, 16_000), rate=16_000)
    if kind == "loud":
        return write(folder / "a.wav", np.clip(4 * song, -1, 1))  # 12 dB: clipped
    if kind == "soft":
        return write(folder / "a.wav", 0.5 * song)
    noise = np.random.default_rng(0).standard_normal(len(song)).astype(np.float32)
    return write(folder / "a.wav", song + 0.03 * np.sqrt(np.mean(song**2)) * noise)


@pytest.mark.parametrize("kind", ["mp3", "ogg", "m4a", "stereo", "16 kHz", "loud", "soft", "noise"])
def test_a_copy_is_found_however_it_was_made(
    song: Samples, others: list[Fingerprint], tmp_path: Path, kind: str
) -> None:
    copy = fingerprint_file(file_of(song, kind, tmp_path))

    (match,) = found(fingerprint(song), *others, copy)

    assert (match.first, match.second) == (0, len(others) + 1)
    assert match.offset_seconds == pytest.approx(0, abs=0.06)
    assert match.seconds > 20
    assert match.similarity > 0.8


@pytest.mark.parametrize("cut", [0.013, 0.5, 1.9999])
def test_a_copy_that_starts_later_is_found_with_its_offset(song: Samples, cut: float) -> None:
    (match,) = found(fingerprint(song[round(cut * RATE) :]), fingerprint(song))
    assert match.offset_seconds == pytest.approx(cut, abs=0.03)


def test_a_re_encoded_excerpt_is_found_in_the_longer_song_at_its_place(
    song: Samples, tmp_path: Path
) -> None:
    excerpt = song[9 * RATE : 19 * RATE]
    long = np.concatenate([melody(61, seed=30), song, melody(20, seed=31)])

    (match,) = found(fingerprint(long), fingerprint_file(file_of(excerpt, "mp3", tmp_path)))

    assert match.offset_seconds == pytest.approx(-(61 + 9), abs=0.1)
    assert 8.5 < match.seconds <= 10


def test_a_medley_is_matched_with_every_song_that_it_is_made_of() -> None:
    parts = [melody(15, seed=40), melody(15, seed=41)]
    medley = np.concatenate([parts[0][: 8 * RATE], parts[1][: 8 * RATE]])
    pairs = {(match.first, match.second) for match in found(*map(fingerprint, [*parts, medley]))}
    assert pairs == {(0, 2), (1, 2)}


def test_less_than_the_minimum_is_no_match_but_a_short_song_is_found(song: Samples) -> None:
    moment = np.concatenate([melody(10, seed=50), song[: 3 * RATE], melody(10, seed=51)])
    short = song[5 * RATE : 9 * RATE]
    assert found(fingerprint(song), fingerprint(moment)) == []
    assert len(found(fingerprint(song), fingerprint(short))) == 1


def test_silence_tones_and_noise_match_nothing_not_even_each_other() -> None:
    time = np.arange(20 * RATE) / RATE
    steady = [np.zeros_like(time), np.full_like(time, 0.2)]
    steady += [np.sin(2 * np.pi * pitch * time) / 3 for pitch in (440, 440, 441, 1000)]
    steady.append(steady[2] + steady[5])
    noise = [np.random.default_rng(seed).standard_normal(len(time)) / 10 for seed in range(4)]
    quiet = [np.rint(2 * level) / 32_768 for level in noise]  # the last bits of silence
    prints = [fingerprint(y.astype(np.float32)) for y in (*steady, *noise, *quiet)]

    assert all((fingerprint == 0).mean() > 0.9 for fingerprint in prints[: len(steady)])
    assert found(*prints) == []


def test_pauses_of_two_songs_do_not_make_them_copies() -> None:
    pause = np.zeros(15 * RATE, dtype=np.float32)
    halves = [np.concatenate([melody(8, 60 + n), pause, melody(8, 70 + n)]) for n in range(2)]
    assert found(*map(fingerprint, halves)) == []


def test_how_the_audio_is_cut_into_blocks_changes_nothing(song: Samples) -> None:
    whole = subfingerprints([song], 44_100)
    random = np.random.default_rng(0)
    cuts = np.sort(random.integers(0, len(song), 40))
    assert np.array_equal(subfingerprints(np.split(song, cuts), 44_100), whole)


def test_audio_of_less_than_half_a_second_has_an_empty_fingerprint() -> None:
    for length in (0, 1, 2000, RATE // 3):
        assert fingerprint(np.ones(length, dtype=np.float32)).shape == (0,)


def test_a_long_song_takes_no_more_memory_than_a_short_one() -> None:
    def blocks(count: int) -> Iterator[Samples]:
        random = np.random.default_rng(0)
        return (random.standard_normal(60 * 8000, dtype=np.float32) for _ in range(count))

    peaks = []
    for minutes in (2, 12):
        tracemalloc.start()
        subfingerprints(blocks(minutes), 8000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_song_that_has_changed_is_refused(song: Samples, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", song[:RATE])
    with pytest.raises(AudioError, match="has changed"):
        fingerprints.fingerprint_song(path, "0" * 64)


def test_matches_do_not_depend_on_the_order_of_the_songs(song: Samples) -> None:
    a, b = fingerprint(song), fingerprint(song[RATE:])
    (one,), (other,) = found(a, b), found(b, a)
    assert (one.offset, one.length, one.similarity) == (
        -other.offset,
        other.length,
        other.similarity,
    )


def test_very_many_copies_of_one_song_are_one_group() -> None:
    random = np.random.default_rng(0)
    song = random.integers(1, 2**32, 500, dtype=np.uint32)
    copies = [song ^ (random.random(500) < 0.3).astype(np.uint32) for _ in range(60)]
    stranger = random.integers(1, 2**32, 500, dtype=np.uint32)

    names = [f"{number:03}" for number in range(61)]
    table = fingerprints.group(names, found(*copies, stranger))

    assert table["track_id"].tolist() == names[:60]
    assert table["duplicate_group"].unique().tolist() == ["000"]


def test_the_table_has_the_nearest_copy_and_its_offset() -> None:
    hops = round(2 * SECOND)
    matches = [Match(0, 2, hops, 900, 0.9), Match(1, 2, 0, 400, 0.99), Match(3, 4, 0, 300, 0.8)]

    table = fingerprints.group(["b", "c", "a", "e", "d", "f"], matches).set_index("track_id")

    assert table["duplicate_group"].to_dict() == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}
    assert table["other"].to_dict() == {"a": "c", "b": "a", "c": "a", "d": "e", "e": "d"}
    assert table.loc["b", "offset_s"] == pytest.approx(2, abs=0.02)
    assert table.loc["b", "similarity"] == 0.9


def test_groups_grow_and_merge_as_songs_are_added(song: Samples) -> None:
    begin, end = fingerprint(song[: 12 * RATE]), fingerprint(song[12 * RATE :])
    beginning_again = fingerprint(0.5 * song[: 11 * RATE])
    before = fingerprints.group(["1", "2", "3"], found(begin, beginning_again, end))
    after = fingerprints.group(
        ["1", "2", "3", "4"], found(begin, beginning_again, end, fingerprint(song))
    )

    assert before["duplicate_group"].tolist() == ["1", "1"]
    assert after["duplicate_group"].tolist() == ["1", "1", "1", "1"]


def test_no_copies_make_an_empty_table_of_the_right_types(tmp_path: Path) -> None:
    for names in ([], ["a", "b"]):
        table = fingerprints.group(names, [])
        full = fingerprints.group(["a", "b"], [Match(0, 1, 0, 300, 1.0)])
        assert table.empty
        assert table.dtypes.equals(full.dtypes)
        table.to_parquet(tmp_path / "t.parquet")
        assert pd.read_parquet(tmp_path / "t.parquet").dtypes.equals(full.dtypes)


@pytest.mark.real_audio
def test_real_clips_are_found_in_their_excerpts_and_in_nothing_else(
    shared_data: Path, tmp_path: Path
) -> None:
    clips = sorted((shared_data / "gtzan_dev").glob("*/*.flac"))[::24]
    prints, pairs = [fingerprint_file(clip) for clip in clips], set()
    for number, clip in enumerate(clips):
        y, rate = soundfile.read(clip, dtype="float32")
        copy = write(tmp_path / f"{number}.mp3", y[7 * rate : 17 * rate] / 2, rate=rate)
        pairs.add((number, len(clips) + number))
        prints.append(fingerprint_file(copy))

    assert {(match.first, match.second) for match in found(*prints)} == pairs
