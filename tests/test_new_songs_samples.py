"""Random 3 s samples of whole songs, and the classifier's inputs for them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ensembles import ensemble, mlp, network
from songs import tone, write

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, load
from genre.classifier.samples import random_samples
from genre.core.errors import AudioError
from genre.core.params import load_params
from genre.features.log_mel import log_mel
from genre.features.report import NAMES, extract
from genre.features.spectrogram import draw
from genre.models.images import cut
from genre.new_songs import SAMPLES, read_samples, sample_song


def sample(path: Path, members: list[Any], *, seed: int = 0) -> tuple[np.ndarray, dict[Any, Any]]:
    model = ensemble(*members)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    settings: dict[str, Any] = {"inputs": model.inputs, "preprocessing": model.preprocessing}
    return read_samples(sample_song(path, content, **settings, seed=seed, max_seconds=600))


@pytest.mark.parametrize("seconds", [3.0, 7.3, 30.0, 95.5])
@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_a_sample_is_the_song_at_its_place_with_the_30_s_around_it(
    tmp_path: Path, seconds: float, rate: int
) -> None:
    path = write(tmp_path / "song.wav", tone(seconds, rate=rate, channels=2), rate=rate)
    y = np.pad(load(path), (0, CLIP_SAMPLES))

    drawn = random_samples(path, SAMPLES, seed=1)

    assert len(drawn) == SAMPLES
    for window in drawn:
        (offset,) = window.offsets
        place = window.start + offset
        assert 0 <= place <= round(seconds * SAMPLE_RATE) - SEGMENT_SAMPLES
        np.testing.assert_array_equal(window.segment(offset), y[place : place + SEGMENT_SAMPLES])
        np.testing.assert_array_equal(window.y, y[window.start : window.start + CLIP_SAMPLES])
        assert 0 <= offset <= CLIP_SAMPLES - SEGMENT_SAMPLES


def test_samples_come_from_the_whole_song(tmp_path: Path) -> None:
    path = write(tmp_path / "song.flac", tone(100.0))

    places = [
        (window.start + window.offsets[0]) / SAMPLE_RATE
        for window in random_samples(path, 200, seed=0)
    ]

    assert places == sorted(places)
    assert min(places) < 5
    assert max(places) > 92
    assert np.mean(places) == pytest.approx(48.5, abs=6)


def test_a_song_shorter_than_a_sample_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", tone(2.9))

    with pytest.raises(AudioError, match=r"is 2\.90 s long, shorter than a sample"):
        random_samples(path, SAMPLES, seed=0)


def test_the_samples_of_a_song_depend_only_on_its_content_and_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", tone(40.0))
    renamed = shutil.copy(path, tmp_path / "renamed.wav")
    other = write(tmp_path / "other.wav", tone(40.0, seed=1))

    places, _ = sample(path, [network("resnet")])

    np.testing.assert_array_equal(sample(renamed, [network("resnet")])[0], places)
    assert not np.array_equal(sample(other, [network("resnet")])[0], places)
    assert not np.array_equal(sample(path, [network("resnet")], seed=1)[0], places)


def test_inputs_of_samples_equal_those_of_segments(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", tone(90.0))
    params = load_params(Path(__file__).parent.parent / "params.yaml")
    y = load(path)

    places, inputs = sample(path, [mlp(), network("cnn"), network("resnet")])

    # One sample from the middle: its fifth segment, with nothing rounded.
    number = int(np.argmin(abs(places - 45)))
    first = round(places[number] * SAMPLE_RATE)
    clip = y[first - 4 * SEGMENT_SAMPLES :][:CLIP_SAMPLES]
    values = extract(y[first : first + SEGMENT_SAMPLES], SAMPLE_RATE)
    features = pd.DataFrame(inputs["features_3s"])
    assert list(features) == list(NAMES)
    assert features.loc[number].to_dict() == values
    picture = draw(clip, params.spectrograms).transpose(2, 0, 1)
    shades = log_mel(clip, params.log_mel)[np.newaxis]
    np.testing.assert_array_equal(inputs["spectrogram"][number], cut(picture[np.newaxis])[4])
    np.testing.assert_array_equal(inputs["log_mel"][number], cut(shades[np.newaxis])[4])
    assert len(inputs["spectrogram"]) == len(inputs["log_mel"]) == len(places) == SAMPLES


def test_samples_of_digital_silence_are_left_out(tmp_path: Path) -> None:
    y = np.concatenate([tone(20.0), np.zeros((20 * SAMPLE_RATE, 1), np.float32)])
    late = write(tmp_path / "late.wav", y)
    silent = write(tmp_path / "silent.wav", np.zeros((10 * SAMPLE_RATE, 1), np.float32))

    places, inputs = sample(late, [network("resnet")])

    assert 0 < len(places) == len(inputs["log_mel"]) < SAMPLES
    assert max(places) < 20
    with pytest.raises(AudioError, match="is silent in each of its 10 samples"):
        sample(silent, [network("resnet")])


def test_a_song_that_has_changed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", tone(5.0))

    with pytest.raises(AudioError, match="has changed"):
        sample_song(path, "0" * 64, inputs=(), preprocessing={}, seed=0, max_seconds=60)
