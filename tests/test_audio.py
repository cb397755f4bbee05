"""Decoding, scanning and cutting songs."""

from __future__ import annotations

import hashlib
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.signal import welch
from songs import RATE, tone, write, write_m4a

from genre import audio
from genre.audio import trim
from genre.core.errors import AudioError

FORMATS = ["song.wav", "song.flac", "song.mp3", "song.ogg", "song.opus", "song.au", "song.aiff"]
OPEN = av.open


def write_any(path: Path, y: np.ndarray) -> Path:
    if path.suffix == ".m4a":
        return write_m4a(path, y[:, 0], rate=48_000)
    settings = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    return write(path, y, rate=48_000, **settings)


def levels(y: np.ndarray) -> np.ndarray:
    """The logarithms of the mean power in 40 bands from 100 to 8 000 Hz."""
    _, power = welch(y, 48_000, nperseg=4_800)  # 10 Hz a bin
    return np.log([band.mean() for band in np.array_split(power[10:800], 40)])


@pytest.mark.parametrize("name", [*FORMATS, "song.m4a"])
def test_each_common_format_is_decoded_to_what_was_encoded(tmp_path: Path, name: str) -> None:
    y = tone(4, rate=48_000)
    path = write_any(tmp_path / name, y)

    decoded = audio.decode(path)

    assert decoded.sample_rate == 48_000
    assert decoded.samples.dtype == np.float32
    assert decoded.seconds == pytest.approx(4, abs=0.1)
    # A lossy codec shifts phases; the spectrum says whether it is the same music.
    expected, found = (levels(part[:190_000, 0]) for part in (y, decoded.samples))
    assert np.corrcoef(expected, found)[0, 1] > 0.98


@pytest.mark.parametrize("name", [*FORMATS, "song.m4a"])
def test_the_format_is_detected_from_the_content_not_the_name(tmp_path: Path, name: str) -> None:
    path = write_any(tmp_path / name, tone(1, rate=48_000))
    expected = audio.decode(path)
    misnamed = path.rename(tmp_path / "holiday.raw")

    decoded = audio.decode(misnamed)
    from_bytes = audio.decode(misnamed.read_bytes())

    assert decoded.codec == expected.codec
    np.testing.assert_array_equal(decoded.samples, expected.samples)
    np.testing.assert_array_equal(from_bytes.samples, expected.samples)


def test_a_file_that_is_not_audio_is_refused_with_the_reason(tmp_path: Path) -> None:
    text = tmp_path / "song.mp3"
    text.write_text("Dear diary, " * 100)
    empty = tmp_path / "empty.wav"
    empty.touch()

    with pytest.raises(AudioError, match="not audio"):
        audio.decode(text)
    with pytest.raises(AudioError, match="empty"):
        audio.decode(empty)
    with pytest.raises(AudioError, match="cannot be opened"):
        audio.decode(tmp_path / "absent.wav")


def open_of_pyav_19(file: object, *mode: str, **options: object) -> object:
    """`av.open` without the option that PyAV 19 dropped, decoding tags as PyAV 19 does."""
    if "metadata_errors" in options:
        raise TypeError("open() got an unexpected keyword argument 'metadata_errors'")
    return OPEN(file, *mode, metadata_errors="surrogateescape", **options)


@pytest.fixture(params=["installed", "19.0.2"])
def pyav(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV as it is installed, then as it is from 19 on."""
    if request.param != "installed" and av.__version__ < "19":
        monkeypatch.setattr(av, "__version__", request.param)
        monkeypatch.setattr(av, "open", open_of_pyav_19)


@pytest.mark.usefixtures("pyav")
def test_bytes_of_a_tag_that_are_not_utf_8_are_replaced(tmp_path: Path) -> None:
    path = write_m4a(tmp_path / "song.m4a", tone(1)[:, 0], title="Title by nobody")
    path.write_bytes(path.read_bytes().replace(b"Title by", b"Title \xff\xfe"))

    decoded = audio.decode(path)

    assert decoded.tags["title"] == "Title \ufffd\ufffd nobody"


@pytest.mark.usefixtures("pyav")
def test_a_picture_among_songs_is_refused_as_not_audio(tmp_path: Path) -> None:
    picture = tmp_path / "cover.jpg"
    Image.new("RGB", (64, 64), "red").save(picture)

    with pytest.raises(AudioError, match="not audio"):
        audio.decode(picture)


def test_a_wav_header_without_samples_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "header.wav", tone(1)[:0])

    with pytest.raises(AudioError, match="no samples"):
        audio.decode(path)


def test_the_same_samples_have_the_same_hash_in_any_lossless_container(tmp_path: Path) -> None:
    y = np.rint(tone(2) * 20_000).astype(np.int16)
    paths = [write(tmp_path / name, y, subtype="PCM_16") for name in ("a.wav", "b.flac", "c.aiff")]

    hashes = {audio.scan(path, max_seconds=60).audio_sha256 for path in paths}
    other = audio.scan(write(tmp_path / "d.wav", tone(2, seed=1)), max_seconds=60).audio_sha256

    assert len(hashes) == 1
    assert other not in hashes


def test_the_hash_does_not_depend_on_how_the_song_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.flac", tone(7))
    whole = audio.scan(path, max_seconds=60)
    monkeypatch.setattr("genre.audio.decoding.BLOCK_SECONDS", 3)

    assert audio.scan(path, max_seconds=60) == whole


def test_a_scan_returns_length_and_level(tmp_path: Path) -> None:
    y = np.zeros((RATE * 9, 1), dtype=np.float32)
    y[RATE * 3 : RATE * 6] = 0.1

    found = audio.scan(write(tmp_path / "a.wav", y, subtype="FLOAT"), max_seconds=60)

    assert found.seconds == 9
    assert found.loudest_dbfs == pytest.approx(-20, abs=1e-3)


def test_a_song_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"longer than ingest\.max_seconds"):
        audio.scan(write(tmp_path / "a.wav", tone(5)), max_seconds=4)


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    y = tone(1)
    y[100] = np.nan

    with pytest.raises(AudioError, match="not numbers"):
        audio.scan(write(tmp_path / "a.wav", y, subtype="FLOAT"), max_seconds=60)


def test_the_middle_of_a_long_song_is_cut_to_exactly_thirty_seconds(tmp_path: Path) -> None:
    y = tone(41)
    path = write(tmp_path / "a.wav", y, subtype="PCM_16")
    stored = audio.decode(path).samples[:, 0]

    clip = trim.cut(path, "middle")
    start = trim.cut(path.read_bytes(), "start")

    first = (len(y) - audio.CLIP_SAMPLES) // 2
    expected = np.rint(stored[first : first + audio.CLIP_SAMPLES] * 32_768).astype(np.int16)
    np.testing.assert_array_equal(np.frombuffer(clip.raw_data, np.int16), expected)
    expected = np.rint(stored[: audio.CLIP_SAMPLES] * 32_768).astype(np.int16)
    np.testing.assert_array_equal(np.frombuffer(start.raw_data, np.int16), expected)


def test_silence_is_appended_to_a_short_song(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(4, rate=44_100, channels=2), rate=44_100)

    clip = np.frombuffer(trim.cut(path, "middle").raw_data, np.int16)

    assert clip.shape == (audio.CLIP_SAMPLES,)
    assert np.abs(clip[: 4 * RATE]).max() > 1000
    assert not clip[4 * RATE + 1 :].any()


def test_a_header_with_too_many_frames_does_not_shift_the_clip(tmp_path: Path) -> None:
    y = tone(100)
    whole = write(tmp_path / "a.wav", y, subtype="PCM_16").read_bytes()
    cut_off = whole[: 44 + 2 * 40 * RATE]

    clip = np.frombuffer(trim.cut(cut_off, "middle").raw_data, np.int16)

    assert np.abs(clip[-RATE:]).max() > 1000


def test_the_segments_of_a_clip_are_its_ten_parts(tmp_path: Path) -> None:
    clip = trim.cut(write(tmp_path / "a.wav", tone(31)), "start")

    segments = trim.cut_segments(trim.encode_clip(clip))
    parts = [np.frombuffer(part.raw_data, np.int16) for part in segments]

    np.testing.assert_array_equal(np.concatenate(parts), np.frombuffer(clip.raw_data, np.int16))
    assert {len(part) for part in parts} == {audio.SEGMENT_SAMPLES}
    segments[3].export(tmp_path / "3.wav", format="wav").close()
    with wave.open(str(tmp_path / "3.wav")) as exported:
        assert exported.getparams()[:4] == (1, 2, RATE, audio.SEGMENT_SAMPLES)


def test_a_song_that_has_changed_is_not_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(4))
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    clip = trim.clip_of_song(path, content, position="start")

    assert trim.clip_of_song(path.read_bytes(), content, position="start") == clip
    write(path, tone(4, seed=1))
    with pytest.raises(AudioError, match="has changed since it was catalogued"):
        trim.clip_of_song(path, content, position="start")
    path.unlink()
    with pytest.raises(AudioError, match="cannot be opened"):
        trim.clip_of_song(path, content, position="start")


def test_resampling_keeps_low_frequencies_and_removes_those_above_the_new_limit(
    tmp_path: Path,
) -> None:
    time = np.arange(44_100 * 2) / 44_100
    y = (0.3 * np.sin(2 * np.pi * 1000 * time) + 0.3 * np.sin(2 * np.pi * 15_000 * time))[:, None]
    path = write(tmp_path / "a.wav", y.astype(np.float32), rate=44_100, subtype="FLOAT")

    decoded = audio.load(path)

    spectrum = np.abs(np.fft.rfft(decoded * np.hanning(len(decoded)))) / len(decoded) * 4
    assert len(decoded) == 2 * RATE
    assert spectrum[2000] == pytest.approx(0.3, rel=0.01)
    assert spectrum[4000:].max() < 1e-4


def test_other_audio_is_refused_as_a_clip(tmp_path: Path) -> None:
    good = tmp_path / "good.flac"
    good.write_bytes(trim.encode_clip(trim.cut(write(tmp_path / "a.wav", tone(30)), "start")))
    short = write(tmp_path / "short.wav", tone(2))
    truncated = tmp_path / "truncated.flac"
    truncated.write_bytes(good.read_bytes()[:100_000])

    assert audio.read_clip(good).shape == (audio.CLIP_SAMPLES,)
    assert audio.segment(audio.read_clip(good.read_bytes())).shape == (10, audio.SEGMENT_SAMPLES)
    for bad in (short, truncated, tmp_path / "absent.wav"):
        with pytest.raises(AudioError, match="run trim again"):
            audio.read_clip(bad)


@pytest.mark.real_audio
def test_real_songs_of_common_formats_are_decoded(shared_data: Path) -> None:
    songs = [
        p for p in (shared_data / "cc_songs").iterdir() if p.suffix in (".mp3", ".ogg", ".wav")
    ]

    for song in songs:
        found = audio.scan(song, max_seconds=7200)
        with soundfile.SoundFile(song) as reference:
            assert found.seconds == pytest.approx(reference.frames / reference.samplerate, abs=0.1)
        assert found.loudest_dbfs > -30
    assert len(songs) == 19
