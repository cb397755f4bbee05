"""Demo songs: reproducible, different between genres, in many formats."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre.collection.demo import GENRES, source_of, write_songs
from genre.collection.demo.sounds import DRUMS, VOICES, hit, note
from genre.collection.demo.styles import STYLES
from genre.collection.demo.synthesis import BAR, FORMATS, LOANS, parse_chord, title_of
from genre.collection.manifest import COLUMNS


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("*/*")
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_songs(folder, songs_per_genre=1, workers=1)
    return folder


def test_every_genre_gets_its_songs_and_the_manifest_names_each_of_them(demo: Path) -> None:
    rows = rows_of(demo)
    assert [row["genre"] for row in rows] == sorted(GENRES)
    assert tuple(rows[0]) == COLUMNS
    assert {row["path"] for row in rows} == set(digests(demo))
    for row in rows:
        assert row["path"].startswith(f"{row['genre']}/")
        assert row["licence"] == "CC0-1.0"
        assert row["source"] == "synthetic demo song (seed 0)"
        assert row["artist"] in STYLES[row["genre"]].artists


def test_songs_are_30_to_37_s_long_loud_enough_unclipped_and_never_silent(demo: Path) -> None:
    for row in rows_of(demo):
        samples, sample_rate = soundfile.read(demo / row["path"], dtype="float32", always_2d=True)
        assert 30 < len(samples) / sample_rate < 37
        assert -32 < 20 * np.log10(np.sqrt(np.mean(samples**2))) < -8, row["path"]
        assert np.abs(samples).max() < 1.0
        seconds = np.abs(samples[: len(samples) // sample_rate * sample_rate, 0])
        assert (seconds.reshape(-1, sample_rate).max(axis=1) > 1e-3).all(), row["path"]


def test_all_formats_occur_with_title_and_artist(demo: Path) -> None:
    rows = {Path(row["path"]).suffix: row for row in rows_of(demo)}
    assert set(rows) == {".wav", ".mp3", ".flac", ".ogg", ".opus", ".aiff"}
    for suffix in (".wav", ".mp3", ".flac", ".ogg", ".opus"):
        with soundfile.SoundFile(demo / rows[suffix]["path"]) as file:
            assert (file.title, file.artist) == (rows[suffix]["title"], rows[suffix]["artist"])
    assert {rate for _, _, rate, _ in FORMATS} >= {22_050, 44_100, 48_000}


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers_and_songs(
    demo: Path, tmp_path: Path
) -> None:
    genres = [row["genre"] for row in rows_of(demo) if row["path"].endswith((".ogg", ".mp3"))]
    write_songs(tmp_path, songs_per_genre=1, genres=genres, workers=2)
    assert digests(tmp_path)
    assert digests(tmp_path).items() <= digests(demo).items()


def test_another_seed_gives_other_songs(demo: Path, tmp_path: Path) -> None:
    write_songs(tmp_path, seed=1, songs_per_genre=1, genres=["jazz"], workers=1)
    assert not set(digests(tmp_path).values()) & set(digests(demo).values())
    assert rows_of(tmp_path)[0]["source"] == source_of(1)


def test_titles_are_unique_in_a_genre_and_artists_across_genres() -> None:
    titles = {title_of("rock", number, 0) for number in range(300)}
    assert len(titles) == 300
    artists = {name for style in STYLES.values() for name in style.artists}
    assert len(artists) == 4 * len(GENRES)


@pytest.mark.parametrize("name", VOICES)
def test_an_instrument_plays_the_pitch_it_is_asked_for(name: str) -> None:
    sound = note(name, 220.0, 0.6)
    assert sound.dtype == np.float32
    assert 0.3 < np.abs(sound).max() < 1.6
    # The autocorrelation of a periodic sound peaks at its period, 100.2 samples.
    spectrum = np.fft.rfft(sound[6000:10096], 8192)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    assert abs(60 + np.argmax(correlation[60:150]) - 22_050 / 220) <= 2.5


def test_the_styles_are_consistent() -> None:
    assert tuple(STYLES) == GENRES
    for genre, style in STYLES.items():
        assert set(style.neighbours) < set(GENRES) - {genre}
        assert style.tempo[0] < style.tempo[1]
        assert set(LOANS) < set(style._fields)
        for pattern in style.drums.patterns:
            words = pattern.split()
            assert all(len(text) == BAR and set(text) <= set("Xxo.") for text in words[1::2])
            for name in words[::2]:
                assert np.abs(hit(name, 1.0, 1.0, 0)).max() == pytest.approx(1.0)
        for part in (style.bass, style.chords, style.lead):
            assert set(part.instruments) <= set(VOICES)
            assert all(len(pattern) % BAR == 0 for pattern in part.patterns)
            assert set("".join(part.patterns)) <= set("1234xm=.")
        scale, progressions = style.harmony
        assert all(parse_chord(name) for name in " ".join((scale, *progressions)).split())
    used = {
        name
        for style in STYLES.values()
        for text in style.drums.patterns
        for name in text.split()[::2]
    }
    assert used == set(DRUMS)


def test_an_unknown_genre_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no demo songs of polka"):
        write_songs(tmp_path, genres=["polka"])
