"""A song is read in windows of 30 s that have every sample, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from songs import tone, write, write_m4a

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, load
from genre.classifier import NotAudioError, read_windows
from genre.core.errors import AudioError

S = SEGMENT_SAMPLES
TEN = [number * S for number in range(10)]


def whole(found: list) -> np.ndarray:
    """The song, concatenated from its windows."""
    y = np.zeros(found[-1].end, dtype=np.float32)
    for part in found:
        y[part.start : part.end] = part.y[: part.end - part.start]
    return y


@pytest.mark.parametrize(
    ("length", "starts", "offsets"),
    [
        (1, [0], [[0]]),
        (S, [0], [[0]]),
        (S + 1, [0], [[0, 1]]),
        (2 * S + 500, [0], [[0, S, S + 500]]),
        (CLIP_SAMPLES, [0], [TEN]),
        (CLIP_SAMPLES + 7, [0, 7], [TEN, [9 * S]]),
        (CLIP_SAMPLES + S, [0, S], [TEN, [9 * S]]),
        (CLIP_SAMPLES + S + 7, [0, S + 7], [TEN, [8 * S + S - 7, 9 * S]]),
        (2 * CLIP_SAMPLES, [0, CLIP_SAMPLES], [TEN, TEN]),
    ],
)
def test_a_song_of_any_length_is_cut_from_end_to_end(
    length: int, starts: list[int], offsets: list[list[int]], tmp_path: Path
) -> None:
    y = np.arange(1, length + 1, dtype=np.float32)[:, np.newaxis] / 2**24
    path = write(tmp_path / "song.wav", y, subtype="FLOAT")

    found = list(read_windows(path))

    assert [part.start for part in found] == starts
    assert [list(part.offsets) for part in found] == offsets
    assert found[-1].end == length
    assert {part.y.shape for part in found} == {(CLIP_SAMPLES,)}
    np.testing.assert_array_equal(whole(found), y[:, 0])
    covered = np.zeros(max(length, S), dtype=bool)
    for part in found:
        for offset in part.offsets:
            covered[part.start + offset : part.start + offset + S] = True
    assert covered.all()


@pytest.mark.parametrize("seconds", [1.3, 30.0, 64.21])
@pytest.mark.parametrize("rate", [44_100, 22_050, 16_000])
def test_a_window_has_the_same_30_s_at_other_rates(
    seconds: float, rate: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "song.wav", tone(seconds, rate=rate), rate=rate)
    y = load(path, 16_000)

    found = list(read_windows(path, other_rates=(16_000,)))

    for part in found:
        other = part.other_rates[16_000]
        start = part.start * 16_000 // SAMPLE_RATE
        assert other.shape == (30 * 16_000,)
        here = y[start : start + len(other)][:-1]
        np.testing.assert_allclose(other[: len(here)], here, atol=1e-6)
        assert not other[len(here) + 2 :].any()
    assert len(found) == max(1, -(-int(seconds * 100) // 3000))


def test_the_segments_of_a_last_part_follow_those_before(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", tone(40))

    *_, last = read_windows(path)

    starts = [(last.start + offset) / SAMPLE_RATE for offset in last.offsets]
    assert starts == [30, 33, 36, 37]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_reading_in_blocks_gives_what_loading_gives(
    rate: int, channels: int, tmp_path: Path
) -> None:
    # Longer than a block, so that the resampler goes on from one to the next.
    path = write(tmp_path / "song.flac", tone(63, rate=rate, channels=channels), rate=rate)

    found = list(read_windows(path))

    np.testing.assert_array_equal(whole(found), load(path))


def test_other_containers_are_read_in_blocks_too(tmp_path: Path) -> None:
    path = write_m4a(tmp_path / "song.m4a", tone(65, rate=44_100)[:, 0], rate=44_100)

    np.testing.assert_array_equal(whole(list(read_windows(path))), load(path))


@pytest.mark.parametrize("suffix", ["flac", "m4a"])
def test_a_song_beyond_the_limit_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"song.{suffix}"
    y = tone(4)
    if suffix == "m4a":
        write_m4a(path, y[:, 0])
    else:
        write(path, y)

    with pytest.raises(AudioError, match=r"longer than the 3\.6 s that are analysed"):
        list(read_windows(path, max_seconds=3.6))
    assert list(read_windows(path, max_seconds=6))


def test_ten_hours_are_refused_by_the_header(tmp_path: Path) -> None:
    path = write_hole(tmp_path / "long.wav", seconds=36_000)

    with pytest.raises(AudioError, match="is 10 h long, longer than the 6 h"):
        list(read_windows(path))


@pytest.mark.parametrize(
    ("seconds", "limit_s", "message"),
    [
        (7201, 7200, "is 2.1 h long, longer than the 2 h"),
        (3601, 3600, "is 61 min long, longer than the 60 min"),
        (36_000, 3600, "is 10 h long, longer than the 60 min"),
        (91, 90, "is 91 s long, longer than the 90 s"),
    ],
)
def test_lengths_are_shown_in_suitable_units(
    seconds: int, limit_s: float, message: str, tmp_path: Path
) -> None:
    path = write_hole(tmp_path / "long.wav", seconds)

    with pytest.raises(AudioError, match=message):
        list(read_windows(path, max_seconds=limit_s))


def write_hole(path: Path, seconds: int) -> Path:
    """Write silence (WAV, 1000 Hz, mono, 16-bit) as a file with a hole, which takes no space."""
    size = seconds * 2000
    soundfile.write(path, np.zeros(0, dtype=np.int16), 1000, format="WAV", subtype="PCM_16")
    header = bytearray(path.read_bytes()[:44])
    header[4:8] = (size + 36).to_bytes(4, "little")
    header[40:44] = size.to_bytes(4, "little")
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(44 + size)
    return path


def test_text_is_not_audio_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_text("This is text, and no music at all.\n" * 50)

    with pytest.raises(NotAudioError, match="is not audio"):
        list(read_windows(path))


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    y = tone(4)
    y[1000] = np.nan
    path = write(tmp_path / "song.wav", y, subtype="FLOAT")

    with pytest.raises(AudioError, match="not numbers"):
        list(read_windows(path))


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", np.zeros((0, 1), dtype=np.float32))

    with pytest.raises(AudioError, match="holds no samples"):
        list(read_windows(path))


def test_a_damaged_file_is_audio_that_cannot_be_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "song.flac", tone(20))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

    with pytest.raises(AudioError) as raised:
        list(read_windows(path))
    assert not isinstance(raised.value, NotAudioError)
