"""`extract` of the extended columns against librosa's public functions, column by column.

The measure is |ours - librosa's| / max(|librosa's|, 1e-2), and its limit 1e-4. (For the 57 values
below 1e-4 are taken for 1e-4: these are decibels.)
"""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from test_features_equality import HARD, SR, music, signals

from genre.core.errors import InputError
from genre.features import report as features
from genre.features.extended import NAMES, extract, extract_clip, reference
from genre.features.extended.names import CONTRAST, CORRELATION, DELTA, HARMONY, LEVEL, ONSET

LIMIT, SMALLEST = 1e-4, 1e-2
# What a value is where librosa's functions define none: the signal is silent, or nothing varies.
UNDEFINED = {"rms_variation": 0.0, "rms_skew": 0.0, "crest": 1.0, "onset_strength_skew": 0.0}
UNDEFINED |= {"onset_strength_p95": 0.0} | dict.fromkeys(CORRELATION, 0.0)
SILENT = dict.fromkeys(("level_mean", "level_p5", "level_p50"), 0.0)  # librosa's: -100 dB

Signal = npt.NDArray[np.float32]


def off(y: Signal, sr: float = SR, **frames: int) -> dict[str, tuple[float, float]]:
    """Ours and librosa's where they differ by more than the limit, all of ours being finite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's about short and empty signals
        expected = reference.extract(y, sr, **frames)
    found = extract(y, sr, **frames)
    assert tuple(found) == NAMES
    assert all(type(value) is float and math.isfinite(value) for value in found.values())
    for name, value in UNDEFINED.items():
        if not math.isfinite(expected[name]):
            expected[name] = value
    if not y.any():
        expected |= SILENT
    return {
        name: (found[name], expected[name])
        for name in NAMES
        if not abs(found[name] - expected[name]) <= LIMIT * max(abs(expected[name]), SMALLEST)
    }


def test_the_names_are_different_from_each_other_and_from_the_57() -> None:
    assert len({*NAMES, *features.NAMES}) == len(NAMES) + len(features.NAMES)
    groups = (CONTRAST, DELTA, CORRELATION, HARMONY, LEVEL, ONSET)
    assert [len(group) for group in groups] == [14, 20, 28, 11, 10, 8]
    assert {"contrast7_var", "mfcc20_delta2_var", "mfcc1_mfcc2_corr", "mfcc7_mfcc8_corr"} < {*NAMES}


# librosa squares samples in float32, of which nothing is left here.
@pytest.mark.parametrize("name", sorted(HARD.keys() - {"music of almost nothing"}))
def test_hard_signals_have_librosas_values(name: str) -> None:
    assert off(HARD[name]().astype(np.float32)) == {}


@pytest.mark.parametrize(
    "frames",
    [
        {"n_fft": 512, "hop_length": 128},
        {"n_fft": 1024},
        {"n_fft": 4096, "hop_length": 1024},
        {"n_fft": 16_384},
        {"hop_length": 2048},
        {"n_fft": 1000, "hop_length": 250},
        {"n_fft": 2047},
    ],
    ids=str,
)
def test_other_frames_have_the_values_that_librosa_gives_with_them(frames: dict[str, int]) -> None:
    assert off(music(40_000), **frames) == {}


@pytest.mark.parametrize("sr", [16_000, 44_100, 22_050.5])
def test_other_sampling_rates_have_librosas_values(sr: float) -> None:
    assert off(music(40_000), sr) == {}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(signals())
def test_any_signal_has_librosas_values(y: Signal) -> None:
    assert off(y) == {}


@pytest.mark.parametrize("n", [1, 2, 100, 511, 512, 1536, 2048, 5000])
def test_signals_of_a_few_frames_have_finite_values(n: int) -> None:
    found = extract(music(9_000)[1000 : 1000 + n], SR)

    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("level", [1e-30, 1e-12, 1e-6, 1e6])
def test_any_level_gives_finite_values(level: float) -> None:
    found = extract(np.float32(level) * music(), SR)

    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("gain", [0.01, 0.1, 3.0])
def test_turning_a_recording_up_or_down_changes_nothing(gain: float) -> None:
    y = music()

    loud, turned = extract(y, SR), extract(np.float32(gain) * y, SR)

    for name in NAMES:
        assert turned[name] == pytest.approx(loud[name], rel=1e-4, abs=1e-4), name


def test_silence_has_no_onset_no_contrast_and_no_variation() -> None:
    found = extract(np.zeros(3 * SR, np.float32), SR)

    still = {name: value for name, value in found.items() if value}
    assert still == {"onset_interval_mean": 3.0, "crest": 1.0}


def test_transposing_music_changes_its_chords_no_more_than_its_sound() -> None:
    def chord(root: float) -> Signal:
        t = np.arange(3 * SR) / SR
        parts = [
            np.sin(2 * np.pi * root * ratio * t) for ratio in (1, 2 ** (4 / 12), 2 ** (7 / 12))
        ]
        return (0.2 * sum(parts)).astype(np.float32)

    low, high = extract(chord(440), SR), extract(chord(440 * 2 ** (3 / 12)), SR)

    intervals = [low[f"chroma_interval{semitones}"] for semitones in range(1, 7)]
    assert {3, 4, 5} == set(sorted(range(1, 7), key=lambda k: -intervals[k - 1])[:3])
    for name in HARMONY:
        assert high[name] == pytest.approx(low[name], abs=0.05), name


def test_onsets_are_counted_and_timed() -> None:
    t = np.arange(6 * SR) / SR
    decays = np.exp(-12 * (t % 0.5)) * np.random.default_rng(0).normal(size=len(t))

    found = extract((0.2 * decays).astype(np.float32), SR)

    assert found["onset_rate"] == pytest.approx(2, abs=0.2)
    assert found["onset_interval_mean"] == pytest.approx(0.5, abs=0.02)
    assert found["onset_interval_variation"] < 0.1


def test_a_clip_has_its_own_row_and_those_of_its_segments() -> None:
    y = music(30 * SR)

    clip, segments = extract_clip(y, SR)

    assert clip == extract(y, SR)
    assert segments == [extract(y[i * 3 * SR : (i + 1) * 3 * SR], SR) for i in range(10)]


def test_the_57_columns_computed_in_between_leave_no_trace() -> None:
    y, other = music(20_000, seed=1), music(20_000, seed=2)
    alone, report = extract(y, SR), features.extract(other, SR)

    assert features.extract(other, SR) == report
    assert extract(y, SR) == alone


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(0), r"shape \(0,\)"),
        (np.zeros((2, 100)), r"shape \(2, 100\), expected one channel"),
        ([0.0, math.nan], "peak is nan"),
    ],
)
def test_what_is_not_a_signal_is_refused(y: npt.ArrayLike, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extract(y, SR)


def test_a_sampling_rate_too_low_for_the_highest_octave_is_refused() -> None:
    with pytest.raises(InputError, match="sr is 8000 Hz, expected above 12800 Hz"):
        extract(music(9_000), 8_000)


def test_frames_too_short_for_the_lowest_octave_are_refused() -> None:
    with pytest.raises(InputError, match="n_fft is 64 samples at 44100 Hz, expected more"):
        extract(music(9_000), 44_100, n_fft=64)


def test_a_clip_too_short_for_ten_segments_is_refused() -> None:
    with pytest.raises(InputError, match="has 595350 samples, expected 661500"):
        extract_clip(np.zeros(27 * SR, np.float32), SR)


@pytest.mark.slow
def test_the_first_clip_needs_neither_librosa_nor_what_it_imports() -> None:
    code = """
import sys, genre.features.extended
assert "numba" not in sys.modules
import numpy as np
genre.features.extended.extract(np.random.default_rng(0).normal(size=22050).astype("f4"), 22050)
for module in ("librosa", "sklearn", "torch", "pandas", "scipy.signal", "scipy.stats"):
    assert module not in sys.modules, module
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.real_audio
@pytest.mark.parametrize("genre", ["classical", "hiphop", "metal"])
def test_real_clips_and_their_segments_have_librosas_values(shared_data, genre: str) -> None:
    path = sorted((shared_data / "gtzan_dev" / genre).glob("*.flac"))[0]
    y, sr = soundfile.read(path, dtype="float32")

    assert off(y, sr) == {}
    for segment in (0, 4, 9):
        assert off(y[segment * 3 * sr : (segment + 1) * 3 * sr], sr) == {}
