"""The demo band: what it plays is the same every time, and different from genre to genre."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from genre.demo import COLUMNS, GENRES, Order, source_of, write_songs
from genre.demo.band import parse_progression
from genre.demo.drums import KITS, hit
from genre.demo.instruments import INSTRUMENTS
from genre.demo.songs import ARTISTS, BANDS, FORMATS, artist_of, make_song, title_of
from genre.demo.styles import NEIGHBOURS, SCALES


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def has_no_silent_second(samples: np.ndarray, sample_rate: int) -> bool:
    """Whether no second is silent (below -60 dBFS), but for the end of the fade."""
    mono = np.abs(samples).max(axis=1)
    blocks = mono[: len(mono) // sample_rate * sample_rate].reshape(-1, sample_rate)
    return bool((blocks.max(axis=1) > 1e-3).all())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_songs(folder, songs_per_genre=1, workers=2)
    return folder


def test_every_genre_gets_its_songs_and_the_manifest_names_each_of_them(demo: Path) -> None:
    rows = rows_of(demo)
    assert [row["genre"] for row in rows] == sorted(GENRES)
    assert tuple(rows[0]) == COLUMNS
    files = {path for path in digests(demo) if path != "manifest.csv"}
    assert {row["path"] for row in rows} == files
    for row in rows:
        assert row["path"].startswith(f"{row['genre']}/")
        assert row["licence"] == "CC0-1.0"
        assert row["source"] == "synthetic demo song (seed 0)"
        assert row["artist"] in ARTISTS[row["genre"]]


def test_songs_are_30_to_40_s_long_loud_enough_unclipped_and_never_silent(demo: Path) -> None:
    for row in rows_of(demo):
        samples, sample_rate = soundfile.read(demo / row["path"], dtype="float32", always_2d=True)
        assert 30 < len(samples) / sample_rate < 40
        level = 20 * np.log10(np.sqrt(np.mean(samples**2)))
        assert -32 < level < -8, row["path"]
        assert np.abs(samples).max() < 1.0
        assert has_no_silent_second(samples, sample_rate), row["path"]


def test_the_formats_differ_and_carry_title_and_artist(demo: Path) -> None:
    rows = {Path(row["path"]).suffix: row for row in rows_of(demo)}
    assert {".wav", ".flac", ".ogg", ".mp3"} <= set(rows)
    for suffix in (".flac", ".ogg", ".opus"):
        with soundfile.SoundFile(demo / rows[suffix]["path"]) as file:
            assert (file.title, file.artist) == (rows[suffix]["title"], rows[suffix]["artist"])
    assert {form.sample_rate for form in FORMATS} >= {22_050, 44_100, 48_000}
    assert {form.channels for form in FORMATS} == {1, 2}


def test_the_same_seed_gives_the_same_bytes_however_many_processes_and_songs(
    demo: Path, tmp_path: Path
) -> None:
    # The second genre's first song is an Ogg file, whose stream number is random unless mended.
    genres = [row["genre"] for row in rows_of(demo) if row["path"].endswith((".ogg", ".opus"))]
    write_songs(tmp_path, songs_per_genre=1, genres=genres, workers=1)
    again, first = digests(tmp_path), digests(demo)
    del again["manifest.csv"]
    assert again
    assert again.items() <= first.items()


def test_another_seed_gives_other_songs(demo: Path, tmp_path: Path) -> None:
    write_songs(tmp_path, seed=1, songs_per_genre=1, genres=["jazz"], workers=1)
    assert not set(digests(tmp_path).values()) & set(digests(demo).values())
    assert rows_of(tmp_path)[0]["source"] == source_of(1)


def test_every_format_keeps_the_song(tmp_path: Path) -> None:
    (tmp_path / "jazz").mkdir()
    lengths = []
    for number in (0, 4, 8):  # one artist, three formats
        row = make_song(Order(tmp_path, "jazz", number, 0))
        with soundfile.SoundFile(tmp_path / row["path"]) as file:
            lengths.append(file.frames / file.samplerate)
        assert row["artist"] == artist_of("jazz", 0, 0).name
    assert all(30 < length < 40 for length in lengths)


def test_titles_are_unique_in_a_genre_and_artists_across_genres() -> None:
    titles = [title_of("rock", number, 0) for number in range(1500)]
    assert len(set(titles)) == len(titles)
    names = [name for artists in ARTISTS.values() for name in artists]
    assert len(set(names)) == 4 * len(GENRES)


def test_four_artists_of_a_genre_differ_in_sound() -> None:
    artists = [artist_of("pop", number, 0) for number in range(4)]
    for trait in ("name", "tempo", "tuning", "tilt", "cutoff", "room", "hiss"):
        assert len({getattr(artist, trait) for artist in artists}) == 4
    assert artist_of("pop", 4, 0) == artists[0]


@pytest.mark.parametrize("name", sorted(set(INSTRUMENTS) - {"bell"}))  # a bell has no one pitch
def test_an_instrument_plays_the_pitch_it_is_asked_for(name: str) -> None:
    frequency = 220.0
    note = INSTRUMENTS[name](frequency, 0.6, 0)
    again = INSTRUMENTS[name](frequency, 0.6, 0)
    assert note.dtype == np.float32
    assert np.isfinite(note).all()
    assert 0.3 < np.abs(note).max() < 1.6
    np.testing.assert_array_equal(note, again)
    # The autocorrelation of a periodic sound peaks at its period (100.2 samples at 220 Hz).
    part = note[6000:10096].astype(np.float64)
    part -= part.mean()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(part, 8192)) ** 2)[:400]
    period = 60 + int(np.argmax(correlation[60:150]))
    assert abs(period - 22_050 / frequency) <= 2.5


@pytest.mark.parametrize("kit", sorted(KITS))
def test_every_drum_that_a_band_plays_can_be_hit(kit: str) -> None:
    drums = {drum for band in BANDS.values() for pattern in band.drums for drum in pattern}
    for drum in sorted(drums | {"tom", "snare"}):
        sound = hit(kit, drum, 0)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() == pytest.approx(1.0)


def test_the_tables_of_the_bands_hold_together() -> None:
    assert set(BANDS) == set(GENRES) == set(NEIGHBOURS) == set(ARTISTS)
    for genre, band in BANDS.items():
        assert genre not in NEIGHBOURS[genre]
        assert set(NEIGHBOURS[genre]) <= set(GENRES)
        assert band.tempo[0] < band.tempo[1]
        assert set(band.scales) <= set(SCALES)
        assert set(band.kits) <= set(KITS)
        for part in (band.bass, band.chords, band.lead, band.pad):
            if part is not None:
                assert set(part.instruments) <= set(INSTRUMENTS)
        patterns = [text for pattern in band.drums for text in pattern.values()]
        assert set("".join(patterns)) <= set("Xxo.")
        assert set("".join(band.lead_rhythms)) <= set("xX=.")
        for progression in band.progressions:
            assert all(parse_progression(progression, key=7))


def test_an_unknown_genre_and_an_unknown_chord_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no demo band plays polka"):
        write_songs(tmp_path, genres=["polka"])
    with pytest.raises(ValueError, match="Hm7"):
        parse_progression("C | Hm7", key=0)
