"""MusiCNN's input, against the libraries whose values it reproduces."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pytest
from resampy import resampy

from genre.core.errors import AudioError
from genre.features.musicnn import HOP_FRAMES, PATCH_FRAMES, SAMPLE_RATE
from genre.features.musicnn.patches import log_mel, patch_starts

Samples = npt.NDArray[np.float32]

# resampy 0.2.2, filter kaiser_best, of `sweep()` at 22 050 Hz: outputs 100 to 111.
RESAMPY = (
    "-.156243 .562713 .850203 .602595 .035625 -.440739 -.470945 .009772 .710154 1.14674 "
    ".955646 .151111"
)


def sweep(n: int = 600) -> Samples:
    t = np.arange(n)
    return (np.sin(0.002 * t * t) + 0.5 * np.cos(0.3 * t)).astype(np.float32)


def noise(n: int, seed: int = 0) -> Samples:
    return (0.1 * np.random.default_rng(seed).normal(size=n)).astype(np.float32)


def test_the_reference_gives_resampys_values() -> None:
    expected = np.array(RESAMPY.split(), float)
    found = resampy(sweep(), 22_050, SAMPLE_RATE)[100:112]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def librosas(y: Samples) -> Samples:
    """The published front end."""
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        power = librosa.feature.melspectrogram(
            y=y, sr=SAMPLE_RATE, hop_length=256, n_fft=512, n_mels=96, pad_mode="reflect"
        )
    spectrogram: Samples = np.log10(10_000 * power.T.astype(np.float16).astype(np.float32) + 1)
    return spectrogram


@pytest.mark.parametrize(
    "y", [noise(48_000), 0.9 * sweep(20_000), np.zeros(30_000, np.float32), noise(257)]
)
def test_the_spectrogram_is_librosas(y: Samples) -> None:
    found, expected = log_mel(y), librosas(y)
    assert found.shape == expected.shape == (1 + len(y) // 256, 96)
    assert found.dtype == np.float32
    # Where a last bit of float32 turns a rounding to float16, by 2**-11 of the value.
    np.testing.assert_allclose(found, expected, atol=2**-11)
    assert np.median(np.abs(found - expected)) < 1e-7


def test_a_long_song_has_the_spectrogram_of_its_parts() -> None:
    y = noise(5000 * 256)
    np.testing.assert_array_equal(log_mel(y)[4200:4300], log_mel(y[4000 * 256 :])[200:300])


def test_a_short_song_is_followed_by_silence() -> None:
    y = noise(10_000)
    spectrogram = log_mel(y, at_least=PATCH_FRAMES)
    assert spectrogram.shape == (PATCH_FRAMES, 96)
    assert not spectrogram[42:].any()


def test_samples_that_are_no_numbers_are_refused() -> None:
    for wrong in (np.nan, np.inf):
        y = noise(1000)
        y[3] = wrong
        with pytest.raises(AudioError, match="not numbers"):
            log_mel(y)
    with pytest.raises(AudioError, match=r"shape \(10, 2\), expected mono"):
        log_mel(np.zeros((10, 2), np.float32))


def test_30_s_have_28_patches_a_second_apart() -> None:
    starts = patch_starts(1 + 30 * SAMPLE_RATE // 256, PATCH_FRAMES, HOP_FRAMES)
    assert len(starts) == 28
    assert (np.diff(starts) == 61).all()
    assert list(patch_starts(PATCH_FRAMES, PATCH_FRAMES, 1)) == [0]
