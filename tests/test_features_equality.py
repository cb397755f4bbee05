"""`extract` against librosa's public functions, column by column.

The measure is |ours - librosa's| / max(|librosa's|, 1e-4), and its limit 1e-4.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from genre.core.errors import InputError
from genre.features.report import NAMES, extract, extract_clip, extract_segments, reference

SR = 22_050
LIMIT = 1e-4
PARTS = {"harmony_mean", "harmony_var", "perceptr_mean", "perceptr_var"}

Signal = npt.NDArray[np.float32]


def difference(ours: float, librosas: float) -> float:
    """Relative difference, with values below 1e-4 taken for 1e-4."""
    return abs(ours - librosas) / max(abs(librosas), 1e-4)


def differences(y: Signal, sr: float = SR, **frames: int) -> dict[str, float]:
    """The difference of every column, all of our values being finite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's about short and empty signals
        expected = reference.extract(y, sr, **frames)
    found = extract(y, sr, **frames)
    assert tuple(found) == NAMES
    assert all(type(value) is float and math.isfinite(value) for value in found.values())
    return {name: difference(found[name], expected[name]) for name in NAMES}


def off(differences: dict[str, float]) -> dict[str, float]:
    """The columns beyond the limit; NaN is."""
    return {name: value for name, value in differences.items() if not value <= LIMIT}


def music(n: int = 3 * SR, seed: int = 0) -> Signal:
    """Four voices that are struck twice a second, over some noise."""
    t = np.arange(n) / SR
    voices = sum(
        np.sin(2 * np.pi * hz * t) * np.exp(-3 * ((2 * t + late) % 1))
        for hz, late in ((220, 0), (277.2, 0.2), (329.6, 0.5), (1234, 0.7))
    )
    noise = np.random.default_rng(seed).normal(size=n)
    return (0.2 * voices + 0.01 * noise).astype(np.float32)


def impulse(place: int, n: int = 3 * SR) -> Signal:
    y = np.zeros(n, np.float32)
    y[place] = 1
    return y


def tone(hz: float, level: float = 1.0, n: int = 3 * SR) -> Signal:
    return (level * np.sin(2 * np.pi * hz * np.arange(n) / SR)).astype(np.float32)


HARD = {
    "digital silence": lambda: np.zeros(3 * SR, np.float32),
    "a click": lambda: impulse(30_000),
    "only the first sample": lambda: impulse(0),
    "only the last sample": lambda: impulse(-1),
    "a click every half second": lambda: (np.arange(3 * SR) % 11_025 == 0).astype(np.float32),
    "a pure tone": lambda: tone(440),
    "a pure tone on a bin": lambda: tone(100 * SR / 2048, 0.5),
    "a high tone": lambda: tone(10_000, 0.5),
    "the highest tone": lambda: np.where(np.arange(3 * SR) % 2, -1, 1).astype(np.float32),
    "a square wave": lambda: np.sign(tone(110)),
    "white noise": lambda: (0.1 * np.random.default_rng(0).normal(size=3 * SR)).astype(np.float32),
    "full-scale clipping": lambda: np.clip(30 * music(), -1, 1),
    "very quiet music": lambda: np.float32(1e-4) * music(),
    "music below the floor": lambda: np.float32(1e-7) * music(),
    "music of almost nothing": lambda: np.float32(1e-20) * music(),
    "music in two bits": lambda: np.round(music() * 2) / np.float32(32_768),
    "music as integers": lambda: np.float32(32_768) * music(),
    "a constant": lambda: np.full(3 * SR, 0.5, np.float32),
    "music with an offset": lambda: music() + np.float32(0.5),
    "music after silence": lambda: np.where(np.arange(3 * SR) < 40_000, 0, music()),
    "music before silence": lambda: np.where(np.arange(3 * SR) > 40_000, 0, music()),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_signals_have_librosas_values(name: str) -> None:
    assert off(differences(HARD[name]().astype(np.float32))) == {}


@pytest.mark.parametrize(
    "frames",
    [
        {"n_fft": 512, "hop_length": 128},
        {"n_fft": 1024},
        {"n_fft": 4096, "hop_length": 1024},
        {"n_fft": 16_384},
        {"hop_length": 256},
        {"hop_length": 2048},
        {"hop_length": 700},
        {"n_fft": 1000, "hop_length": 250},
        {"n_fft": 2047},
    ],
    ids=str,
)
def test_other_frames_have_the_values_that_librosa_gives_with_them(frames: dict[str, int]) -> None:
    assert off(differences(music(40_000), **frames)) == {}


@pytest.mark.parametrize("sr", [8_000, 16_000, 44_100, 22_050.5])
def test_other_sampling_rates_have_librosas_values(sr: float) -> None:
    assert off(differences(music(40_000), sr)) == {}


@pytest.mark.parametrize("n", [2, 3, 100, 511, 1536, 2047, 2048, 2049, 5000, 8191, 8192])
def test_short_signals_have_librosas_values(n: int) -> None:
    assert off(differences(music(9_000)[1000 : 1000 + n])) == {}


def test_one_sample_has_librosas_values() -> None:
    # librosa adds up a single frame's mel bands in another order than many frames'.
    found = differences(music(9_000)[1000:1001])

    assert off({name: value for name, value in found.items() if "mfcc" not in name}) == {}
    assert max(found.values()) < 1e-3


@pytest.mark.parametrize("n", [512, 1000, 1535])
def test_two_or_three_frames_have_librosas_values_but_for_its_separation(n: int) -> None:
    # SciPy's median filter, and with it librosa's, reads outside so short an array.
    found = differences(music(9_000)[1000 : 1000 + n])

    assert off({name: value for name, value in found.items() if name not in PARTS}) == {}


def test_a_clip_has_its_own_row_and_those_of_its_segments() -> None:
    y = music(30 * SR)

    clip, segments = extract_clip(y, SR)

    assert clip == extract(y, SR)
    assert segments == extract_segments(y, SR)
    assert segments == [extract(y[i * 3 * SR : (i + 1) * 3 * SR], SR) for i in range(10)]


def test_what_was_computed_before_leaves_no_trace() -> None:
    quiet, loud = np.float32(0.01) * music(20_000, seed=1), music(20_000, seed=2)
    alone = extract(quiet, SR)

    extract(loud, SR)

    assert extract(quiet, SR) == alone
    assert extract(quiet[:-1], SR) != alone
    assert extract(quiet, SR) == alone


def test_double_precision_integers_and_lists_are_taken_for_float32() -> None:
    y = music(9_000)

    assert extract(y.astype(np.float64), SR) == extract(y, SR)
    assert extract(y[::2], SR) == extract(y[::2].copy(), SR)
    assert extract([0, 1, 0, -1] * 500, SR) == extract(np.tile([0.0, 1, 0, -1], 500), SR)


def test_a_signal_that_cannot_be_written_to_is_read() -> None:
    y = music(9_000)
    expected = extract(y, SR)
    y.flags.writeable = False

    assert extract(y, SR) == expected


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(0), r"shape \(0,\)"),
        (np.zeros((2, 100)), r"shape \(2, 100\), expected one channel"),
        ([0.0, math.nan], "peak is nan"),
        ([0.0, -math.inf], "peak is inf"),
        ([0.0, 1e15], "peak is 1e\\+15"),
    ],
)
def test_what_is_not_a_signal_is_refused(y: npt.ArrayLike, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extract(y, SR)


@pytest.mark.parametrize(("sr", "frames"), [(0, {}), (SR, {"n_fft": 32}), (SR, {"hop_length": 0})])
def test_frames_that_cannot_be_are_refused(sr: float, frames: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected sr > 0, n_fft >= 64 and hop_length >= 1"):
        extract(music(9_000), sr, **frames)


def test_frames_too_far_apart_for_a_tempo_are_refused() -> None:
    with pytest.raises(InputError, match="hop_length is 16384 samples at 2048 Hz"):
        extract(music(9_000), 2048, n_fft=16_384, hop_length=16_384)


def test_a_clip_too_short_for_ten_segments_is_refused() -> None:
    with pytest.raises(InputError, match="has 595350 samples, expected 661500"):
        extract_segments(np.zeros(27 * SR, np.float32), SR)


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    """Tones, noise, clicks, steps and silences of any level, one after and over another.

    At least eight frames: librosa adds up the mel bands of fewer in another order.
    """
    n = draw(st.integers(8 * 512, 24_000))
    y = np.zeros(n)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, n - 1))
        m = draw(st.integers(1, n - start))
        level = 10.0 ** draw(st.floats(-6, 0))
        kind = draw(st.sampled_from(["tone", "noise", "click", "step", "music"]))
        if kind == "tone":
            y[start : start + m] += level * tone(draw(st.floats(20, 11_000)), n=m)
        elif kind == "noise":
            y[start : start + m] += level * rng.normal(size=m)
        elif kind == "click":
            y[start] += level
        elif kind == "step":
            y[start : start + m] += level
        else:
            y[start : start + m] += level * music(m, seed=int(rng.integers(100)))
    return y.astype(np.float32)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(signals())
def test_any_signal_has_librosas_values(y: Signal) -> None:
    assert off(differences(y)) == {}


@pytest.mark.real_audio
@pytest.mark.parametrize("genre", ["classical", "hiphop", "metal"])
def test_real_clips_and_their_segments_have_librosas_values(shared_data, genre: str) -> None:
    path = sorted((shared_data / "gtzan_dev" / genre).glob("*.flac"))[0]
    y, sr = soundfile.read(path, dtype="float32")

    assert off(differences(y, sr)) == {}
    for segment in (0, 4, 9):
        assert off(differences(y[segment * 3 * sr : (segment + 1) * 3 * sr], sr)) == {}
