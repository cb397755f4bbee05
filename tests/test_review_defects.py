"""Defective clips: the measures, and the judgement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from songs import tone

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENTS_PER_CLIP, read_clip
from genre.audio.trim import cut, encode_clip
from genre.collection.demo import write_songs
from genre.core.params import ReviewParams, load_params
from genre.review import Defect, judge, measure
from genre.review.defects import MEASURES

Clip = npt.NDArray[np.float32]
TIME = np.arange(CLIP_SAMPLES) / SAMPLE_RATE
WHOLE = 30.0  # seconds of song in the clip


@pytest.fixture(scope="module")
def limits(project: Path) -> ReviewParams:
    return load_params(project / "params.yaml").review


def noise(seed: int = 0, colour: float = 0.0) -> npt.NDArray[np.float64]:
    """Noise whose power falls with frequency to the power of `colour`: 0 white, 2 brown."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(CLIP_SAMPLES))
    frequencies = np.fft.rfftfreq(CLIP_SAMPLES, 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * np.maximum(frequencies, 20) ** (-colour / 2), CLIP_SAMPLES)


def hum(mains: float) -> npt.NDArray[np.float64]:
    return sum(np.sin(2 * np.pi * mains * k * TIME) / k for k in range(1, 9)) + np.zeros(1)


def music() -> npt.NDArray[np.float64]:
    return tone(30.0, seed=3)[:, 0].astype(np.float64)


def at(level: float, y: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """`y` at a level in dBFS (RMS)."""
    return y / np.sqrt(np.mean(y**2)) * 10 ** (level / 20)


def as_clip(y: npt.NDArray[np.floating]) -> Clip:
    """`y` as a clip holds it: in 16 bits."""
    return (np.clip(np.rint(y * 32_768), -32_768, 32_767) / 32_768).astype(np.float32)


def seconds(first: float, last: float) -> slice:
    return slice(round(first * SAMPLE_RATE), round(last * SAMPLE_RATE))


@pytest.mark.parametrize("colour", [-1, 0, 1, 2])
def test_noise_of_any_colour_is_listed(limits: ReviewParams, colour: int) -> None:
    found = judge(measure(as_clip(at(-18, noise(colour=colour)))), WHOLE, limits)

    assert found == Defect("noise in 30 s of 30 s", 1.0, 0, 9)


def test_music_under_noise_fifteen_decibels_louder_is_listed(limits: ReviewParams) -> None:
    y = at(-33, music()) + at(-18, noise())

    assert judge(measure(as_clip(y)), WHOLE, limits) == Defect("noise in 30 s of 30 s", 1.0, 0, 9)


def test_music_with_noise_ten_decibels_below_it_is_music(limits: ReviewParams) -> None:
    assert judge(measure(as_clip(at(-18, music()) + at(-28, noise()))), WHOLE, limits) is None


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_hum_is_listed(limits: ReviewParams, mains: float) -> None:
    y = at(-28, music()) + at(-18, hum(mains))

    found = judge(measure(as_clip(y)), WHOLE, limits)

    assert found == Defect("hum or a steady tone in 30 s of 30 s", 1.0, 0, 9)


def test_a_song_with_dropouts_everywhere_is_listed(limits: ReviewParams) -> None:
    y = at(-18, music())
    y[TIME % 0.5 < 0.2] = 0  # two fifths of every half second

    found = judge(measure(as_clip(y)), WHOLE, limits)

    assert found == Defect("digital silence in 30 s of 30 s", 1.0, 0, 9)


def test_overdriven_music_is_listed(limits: ReviewParams) -> None:
    found = judge(measure(as_clip(np.clip(at(12, music()), -1, 1))), WHOLE, limits)

    assert found is not None
    assert "overdriven in 30 s" in found.what


def test_a_clip_with_a_short_defect_is_not_listed(limits: ReviewParams) -> None:
    y = at(-18, music())
    y[seconds(6, 12)] = at(-18, noise())[seconds(6, 12)]

    assert judge(measure(as_clip(y)), WHOLE, limits) is None


def test_the_longest_run_is_the_part_to_play(limits: ReviewParams) -> None:
    # As the reggae clip of the public collection: five seconds of music, and then static.
    y = at(-18, music())
    y[seconds(6, 24)] = at(-18, noise())[seconds(6, 24)]
    y[seconds(27, 30)] = 0

    found = judge(measure(as_clip(y)), WHOLE, limits)

    assert found == Defect("noise in 18 s, digital silence in 3 s of 30 s", 0.7, 2, 7)


def test_padding_of_a_short_song_is_not_a_defect(limits: ReviewParams) -> None:
    y = at(-18, music())
    y[seconds(8, 30)] = 0
    measures = measure(as_clip(y))

    assert judge(measures, 8.0, limits) is None
    assert judge(measures, WHOLE, limits) == Defect("digital silence in 24 s of 30 s", 0.8, 2, 9)


def test_a_silent_clip_has_finite_measures_and_is_listed(limits: ReviewParams) -> None:
    measures = measure(np.zeros(CLIP_SAMPLES, dtype=np.float32))

    assert measures.shape == (SEGMENTS_PER_CLIP, len(MEASURES))
    assert measures.tolist() == [[0.0, 0.0, 1.0, 0.0]] * SEGMENTS_PER_CLIP
    assert judge(measures, WHOLE, limits) == Defect("digital silence in 30 s of 30 s", 1.0, 0, 9)


def test_measures_are_shares_that_do_not_depend_on_the_level() -> None:
    loud, soft = (measure((at(level, music())).astype(np.float32)) for level in (-12, -40))

    assert (loud >= 0).all()
    assert (loud <= 1).all()
    np.testing.assert_allclose(loud[:, :2], soft[:, :2], atol=1e-5)


def test_flatness_of_white_noise_is_what_the_mean_of_31_spectra_gives() -> None:
    # ln of the mean of n independent exponentials lies 1/(2n) below the ln of the true mean;
    # half-overlapping Hann windows count as 31 / (1 + 2 / 36) spectra (Welch 1967: 1/6 squared).
    expected = np.exp(-1 / (2 * 31 / (1 + 2 / 36)))

    found = measure(as_clip(at(-18, noise())))[:, 0]

    assert found.mean() == pytest.approx(expected, abs=0.002)


@pytest.mark.slow
def test_no_demo_song_is_listed(limits: ReviewParams, tmp_path: Path) -> None:
    write_songs(tmp_path, songs_per_genre=1, workers=1)
    found = {
        path.name: judge(measure(clip_of(path)), WHOLE, limits)
        for path in sorted(tmp_path.glob("*/*"))
    }

    assert len(found) == 10
    assert not any(found.values())


@pytest.mark.slow
@pytest.mark.real_audio
def test_no_real_song_is_listed(limits: ReviewParams, shared_data: Path) -> None:
    songs = (
        sorted(shared_data.glob("cc_songs/*.*")) + sorted(shared_data.glob("gtzan_dev/*/*"))[::6]
    )
    found = {
        path.name: judge(measure(clip_of(path)), WHOLE, limits)
        for path in songs
        if path.suffix != ".csv"
    }

    assert len(found) == 59
    assert not any(found.values())


def clip_of(path: Path) -> Clip:
    """The clip that trim makes of a song."""
    return read_clip(encode_clip(cut(path, "middle")))
