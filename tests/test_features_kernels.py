"""Each kernel against the function of librosa, SciPy or numpy that it stands for."""

from __future__ import annotations

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import scipy.ndimage
import scipy.signal

from genre.features.report import (
    filters,
    fourier,
    harmonic,
    medians,
    pitch,
    rhythm,
    shape,
    spectrum,
    temporal,
    timbre,
)
from genre.features.report.lanes import LANES
from genre.features.report.spectrum import Frames

SR = 22_050
Signal = npt.NDArray[np.float32]


def signal(n: int = 30_000, seed: int = 0) -> Signal:
    """Tones that decay every half second over some noise, shape=(n,)."""
    t = np.arange(n) / SR
    tones = sum(
        np.sin(2 * np.pi * hz * t) * np.exp(-3 * ((2 * t + late) % 1))
        for hz, late in ((220, 0), (277.2, 0.2), (329.6, 0.5), (1234, 0.7))
    )
    noise = np.random.default_rng(seed).normal(size=n)
    return (0.2 * tones + 0.01 * noise).astype(np.float32)


def in_lanes(rows: npt.NDArray) -> npt.NDArray:
    """Frames of [shape=(n_bins, n_frames)] as blocks, shape=(n_blocks, n_bins, LANES)."""
    n_bins, n_frames = rows.shape
    n_blocks = -(-n_frames // LANES)
    padded = np.zeros((n_bins, n_blocks * LANES), rows.dtype)
    padded[:, :n_frames] = rows
    return np.ascontiguousarray(padded.reshape(n_bins, n_blocks, LANES).transpose(1, 0, 2))


def out_of_lanes(blocks: npt.NDArray, n_frames: int) -> npt.NDArray:
    """The inverse of `in_lanes`."""
    return blocks.transpose(1, 0, 2).reshape(blocks.shape[1], -1)[:, :n_frames]


def analysed(y: Signal, n_fft: int = 2048, hop_length: int = 512):
    frames = Frames(len(y), n_fft, hop_length)
    padded = spectrum.pad(y, frames)
    columns = spectrum.columns(padded, frames)
    return frames, padded, columns, *spectrum.stft(columns, frames)


SETTINGS = [(2048, 512), (1024, 512), (512, 128), (1000, 250), (1023, 300), (2048, 700)]


@pytest.mark.parametrize("n", [8, 16, 32, 512, 1024, 2048, 4096, 1000, 2047])
def test_the_transform_of_sixteen_signals_is_that_of_each(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, LANES))
    plan = fourier.plan(n)
    double = np.empty((plan.n_bins, LANES), np.complex128)
    single = np.empty((plan.n_bins, LANES), np.complex64)
    expected = scipy.fft.rfft(x, axis=0)

    fourier.forward(x.ravel().copy(), double, plan)
    fourier.forward(x.ravel().copy(), single, plan)

    scale = np.abs(expected).max()
    np.testing.assert_allclose(double, expected, atol=2e-15 * scale)
    np.testing.assert_allclose(single, expected, atol=1e-7 * scale)


@pytest.mark.parametrize("n", [8, 16, 512, 1024, 2048, 1000, 2047])
def test_the_inverse_transform_of_sixteen_spectra_is_that_of_each(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, LANES))
    spectra = scipy.fft.rfft(x, axis=0).astype(np.complex64)
    found = np.empty(n * LANES, np.float32)

    fourier.inverse(spectra, found, fourier.plan(n))

    expected = scipy.fft.irfft(spectra, n=n, axis=0)
    np.testing.assert_allclose(found.reshape(n, LANES), expected, atol=2e-6)


@pytest.mark.parametrize(("n_fft", "hop_length"), SETTINGS)
def test_the_spectrum_is_librosas(n_fft: int, hop_length: int) -> None:
    y = signal()

    frames, _, _, found, magnitudes = analysed(y, n_fft, hop_length)

    expected = librosa.stft(y, n_fft=n_fft, hop_length=hop_length)
    assert frames.n_frames == expected.shape[1]
    assert np.mean(out_of_lanes(found, frames.n_frames) == expected) > 0.999
    np.testing.assert_allclose(
        out_of_lanes(magnitudes, frames.n_frames), np.abs(expected), rtol=2e-6, atol=1e-9
    )
    assert not found[-1, :, frames.n_frames % LANES or LANES :].any()


@pytest.mark.parametrize(("n_fft", "hop_length"), SETTINGS)
def test_adding_up_the_inverse_transforms_gives_the_signal_back(
    n_fft: int, hop_length: int
) -> None:
    y = signal()
    frames, _, columns, spectra, magnitudes = analysed(y, n_fft, hop_length)
    nothing = np.zeros_like(magnitudes)

    everything = harmonic.masked(spectra, magnitudes, nothing, frames)

    power = spectrum.window_power(frames)
    expected = librosa.filters.window_sumsquare(
        window="hann", n_frames=frames.n_frames, n_fft=n_fft, hop_length=hop_length
    )
    np.testing.assert_allclose(power.T.ravel()[: len(expected)], expected, rtol=1e-5, atol=1e-7)
    # A bin whose magnitude is exactly zero is shared in halves, and is nothing either way.
    inside = slice(frames.padding, frames.padding + len(y))
    found = (everything / np.maximum(power, 1e-3)).T.ravel()[inside]
    well_covered = power.T.ravel()[inside] > 0.1
    np.testing.assert_allclose(found[well_covered], y[well_covered], atol=5e-7)
    np.testing.assert_array_equal(columns.T.ravel()[inside], y)


@pytest.mark.parametrize(
    ("n_bins", "n_frames"), [(1025, 61), (1025, 16), (64, 31), (33, 5), (40, 1), (17, 47)]
)
def test_the_running_medians_are_scipys_to_the_bit(n_bins: int, n_frames: int) -> None:
    rows = np.random.default_rng(0).exponential(size=(n_bins, n_frames)).astype(np.float32)
    rows[rows < 0.2] = 0  # ties
    blocks = in_lanes(rows)

    over_time = out_of_lanes(medians.over_time(blocks, n_frames), n_frames)
    over_frequency = out_of_lanes(medians.over_frequency(blocks), n_frames)

    width = medians.WIDTH
    expected = scipy.ndimage.median_filter(rows, size=(1, width), mode="reflect")
    np.testing.assert_array_equal(over_time, expected)
    expected = scipy.ndimage.median_filter(rows, size=(width, 1), mode="reflect")
    np.testing.assert_array_equal(over_frequency, expected)


@pytest.mark.parametrize("n_frames", [2, 3])
def test_the_medians_of_two_or_three_frames_are_those_of_the_mirrored_frames(
    n_frames: int,
) -> None:
    # SciPy's filter reads outside the array where it is that much shorter than the window.
    rows = np.random.default_rng(0).exponential(size=(20, n_frames)).astype(np.float32)
    reach = medians.REACH
    mirrored = np.pad(rows, ((0, 0), (reach, reach)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, medians.WIDTH, axis=1)

    found = medians.over_time(in_lanes(rows), n_frames)

    np.testing.assert_array_equal(out_of_lanes(found, n_frames), np.median(windows, axis=-1))


@pytest.mark.parametrize(("n_fft", "hop_length"), [(2048, 512), (1024, 256), (2048, 2000)])
def test_the_harmonic_and_the_percussive_part_are_librosas(n_fft: int, hop_length: int) -> None:
    y = signal()
    frames, _, columns, spectra, magnitudes = analysed(y, n_fft, hop_length)

    found = harmonic.moments(spectra, magnitudes, columns, frames)

    parts = librosa.effects.hpss(y, n_fft=n_fft, hop_length=hop_length)
    expected = [(np.mean(part, dtype=float), np.var(part, dtype=float)) for part in parts]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_loudness_and_zero_crossings_are_librosas() -> None:
    y = signal()
    y[5_000:9_000] = 0
    y[100::977] = 1e-11  # counts as zero
    for n_fft, hop_length in SETTINGS:
        frames, padded, *_ = analysed(y, n_fft, hop_length)
        sizes = {"frame_length": n_fft, "hop_length": hop_length}

        np.testing.assert_allclose(
            temporal.rms(padded, frames), librosa.feature.rms(y=y, **sizes)[0], rtol=1e-5
        )
        np.testing.assert_array_equal(
            temporal.zero_crossing_rate(padded, frames),
            librosa.feature.zero_crossing_rate(y, **sizes)[0],
        )


@pytest.mark.parametrize(("n_fft", "hop_length"), SETTINGS)
def test_centroid_bandwidth_and_rolloff_are_librosas(n_fft: int, hop_length: int) -> None:
    y = signal()
    y[5_000:12_000] = 0
    frames, *_, magnitudes = analysed(y, n_fft, hop_length)
    given = {"y": y, "sr": SR, "n_fft": n_fft, "hop_length": hop_length}

    centroid, bandwidth, rolloff = shape.shape(magnitudes, SR, frames)

    np.testing.assert_allclose(centroid, librosa.feature.spectral_centroid(**given)[0], rtol=1e-6)
    np.testing.assert_allclose(bandwidth, librosa.feature.spectral_bandwidth(**given)[0], rtol=1e-6)
    np.testing.assert_array_equal(rolloff, librosa.feature.spectral_rolloff(**given)[0])


def test_mel_decibels_and_cepstrum_are_librosas() -> None:
    y = signal()
    frames, *_, magnitudes = analysed(y)

    mel = timbre.mel_decibels(magnitudes, SR, frames)

    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=SR))
    np.testing.assert_allclose(mel.T, expected, atol=2e-5)
    np.testing.assert_allclose(timbre.mfcc(mel), librosa.feature.mfcc(y=y, sr=SR), atol=5e-5)


def test_the_places_where_the_matrix_product_starts_a_new_sum_are_terms() -> None:
    cuts = timbre._cuts(1025)

    assert cuts == sorted(cuts)
    assert all(0 < cut < 1025 for cut in cuts)


def test_tuning_is_librosas_for_every_deviation() -> None:
    t = np.arange(SR) / SR
    for cents in range(-50, 50, 7):
        hz = 440 * 2 ** (cents / 1200)
        y = sum(np.sin(2 * np.pi * hz * harmonic_ * t) for harmonic_ in (1, 2, 3))
        y = (0.2 * y).astype(np.float32)
        frames, *_, magnitudes = analysed(y)

        found = pitch.tuning(*pitch.peaks(magnitudes, SR, frames))

        power = np.abs(librosa.stft(y)) ** 2
        assert found == librosa.estimate_tuning(S=power, sr=SR, bins_per_octave=12)


def test_the_peaks_are_those_of_piptrack() -> None:
    y = signal()
    frames, *_, magnitudes = analysed(y)
    power = out_of_lanes(magnitudes, frames.n_frames) ** 2

    hz, height = pitch.peaks(magnitudes, SR, frames)

    pitches, heights = librosa.piptrack(S=power, sr=SR)
    np.testing.assert_array_equal(np.sort(hz), np.sort(pitches[pitches > 0]))
    np.testing.assert_array_equal(np.sort(height), np.sort(heights[pitches > 0]))


@pytest.mark.parametrize(("n_fft", "hop_length"), SETTINGS)
def test_chroma_is_librosas(n_fft: int, hop_length: int) -> None:
    y = signal()
    y[5_000:12_000] = 0
    frames, *_, magnitudes = analysed(y, n_fft, hop_length)

    tuning = pitch.tuning(*pitch.peaks(magnitudes, SR, frames))
    found = pitch.chroma(magnitudes, SR, tuning, frames)

    expected = librosa.feature.chroma_stft(y=y, sr=SR, n_fft=n_fft, hop_length=hop_length)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("hop_length", [512, 256, 700, 3000])
def test_onset_strength_is_that_of_the_beat_tracker(hop_length: int) -> None:
    y = signal(80_000)
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=SR, hop_length=hop_length))

    found = rhythm.onset_strength(np.ascontiguousarray(mel.T), hop_length)

    expected = librosa.onset.onset_strength(y=y, sr=SR, hop_length=hop_length, aggregate=np.median)
    np.testing.assert_array_equal(found, expected)


def test_the_median_rise_is_numpys_where_half_of_the_bands_fall() -> None:
    # 63, 64 and 65 of the 128 bands rise: zero, half of the least rise, and more than the least.
    mel = np.zeros((4, filters.N_MELS), np.float32)
    for frame, risen in enumerate((63, 64, 65), start=1):
        mel[frame] = mel[frame - 1] - 1
        mel[frame, :risen] = mel[frame - 1, :risen] + np.linspace(0.25, 9, risen)

    found = rhythm.onset_strength(mel, 2048)

    rises = np.median(np.maximum(0, np.diff(mel, axis=0)), axis=1)
    np.testing.assert_array_equal(found[1:], rises)
    assert rises[:2].tolist() == [0, 0.125]


@pytest.mark.parametrize("n_frames", [3, 5, 130, 344, 700])
def test_tempo_is_that_of_the_beat_tracker(n_frames: int) -> None:
    rng = np.random.default_rng(n_frames)
    beats = np.arange(n_frames) % 22 == 0
    envelope = (beats * rng.uniform(2, 4, n_frames) + rng.exponential(0.3, n_frames)).astype("f4")

    found = rhythm.tempo(envelope, SR, 512)

    expected, _ = librosa.beat.beat_track(onset_envelope=envelope, sr=SR)
    assert found == np.squeeze(expected)


def test_silence_has_no_tempo() -> None:
    assert rhythm.tempo(np.zeros(100, np.float32), SR, 512) == 0.0


@pytest.mark.parametrize(("sr", "n_fft"), [(22_050, 2048), (44_100, 4096), (8_000, 1000)])
def test_the_filter_banks_are_librosas(sr: int, n_fft: int) -> None:
    expected = librosa.filters.mel(sr=sr, n_fft=n_fft)
    np.testing.assert_array_equal(filters.mel(sr, n_fft), expected)
    for tuning in (-0.5, -0.13, 0.0, 0.49):
        expected = librosa.filters.chroma(sr=sr, n_fft=n_fft, tuning=tuning)
        np.testing.assert_allclose(filters.chroma(sr, n_fft, tuning), expected, atol=1e-7)


@pytest.mark.parametrize("length", [1, 2, 344, 1023, 2048])
def test_the_window_is_scipys(length: int) -> None:
    expected = scipy.signal.get_window("hann", length)
    np.testing.assert_array_equal(filters.hann(length), expected)
