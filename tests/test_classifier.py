"""A whole song is classified with the code of training, as in the step evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from ensembles import CHECKOUT, GENRES, ensemble, mlp, network

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, read_clip
from genre.classifier import Classifier
from genre.core.errors import AudioError, InputError, ParameterError
from genre.core.params import load_params
from genre.features.log_mel import log_mel
from genre.features.report import NAMES, extract_clip
from genre.features.spectrogram import draw
from genre.models.ensemble import Ensemble
from genre.models.images import cut


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """One model on features, which predicts without torch."""
    return Classifier(ensemble(mlp()))


def song(seconds: float, seed: int = 0, rate: int = SAMPLE_RATE) -> npt.NDArray[np.float32]:
    """Tones that change every second, with noise, as a clip's 16-bit values."""
    random = np.random.default_rng(seed)
    n = int(seconds * rate)
    pitch = 220 * 2 ** (random.integers(0, 24, int(seconds) + 1) / 12)
    t = np.arange(n) / rate
    y = 0.3 * np.sin(2 * np.pi * pitch[t.astype(int)] * t) + 0.05 * random.normal(size=n)
    return (np.rint(y * 32_767) / 32_768).astype(np.float32)


def write(path: Path, y: npt.NDArray[np.float32], rate: int = SAMPLE_RATE) -> Path:
    soundfile.write(path, y, rate, subtype="PCM_16")
    return path


def evaluated(model: Ensemble, clip: Path) -> npt.NDArray[np.float64]:
    """The segments' probabilities from the files of the pipeline, as in evaluate."""
    import pandas as pd

    y = read_clip(clip)
    _, rows = extract_clip(y, SAMPLE_RATE)
    inputs: dict[Any, Any] = {"features_3s": pd.DataFrame(rows, columns=list(NAMES))}
    params = load_params(CHECKOUT / "params.yaml")
    picture = draw(y, params.spectrograms).transpose(2, 0, 1)
    inputs["spectrogram"] = cut(picture[np.newaxis])
    inputs["log_mel"] = cut(log_mel(y, params.log_mel)[np.newaxis, np.newaxis])
    return model.proba(inputs)


@pytest.mark.parametrize("members", [["mlp"], ["mlp", "cnn", "resnet"]])
def test_a_clip_is_predicted_exactly_as_by_evaluate(members: list[str], tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.wav", song(30))
    model = ensemble(*(mlp() if name == "mlp" else network(name) for name in members))
    expected = evaluated(model, clip)

    prediction = Classifier(model).classify(clip, timeline=True)

    assert prediction.timeline is not None
    found = np.array([[m.probabilities[genre] for genre in GENRES] for m in prediction.timeline])
    np.testing.assert_array_equal(found, expected)
    whole = dict(zip(GENRES, model.song(expected), strict=True))
    assert prediction.genre == max(whole, key=whole.__getitem__)
    assert {choice.genre: choice.probability for choice in prediction.top} == whole


def test_a_song_is_calibrated_by_its_temperature_and_its_moments_are_not(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", song(6))

    sure = Classifier(ensemble(mlp(), temperature=0.5)).classify(path, timeline=True)
    unsure = Classifier(ensemble(mlp(), temperature=5)).classify(path, timeline=True)

    assert sure.genre == unsure.genre
    assert sure.probability > unsure.probability > 1 / 3
    assert sure.timeline == unsure.timeline


def test_a_short_song_is_predicted_as_its_clip_without_the_silence(
    classifier: Classifier, tmp_path: Path
) -> None:
    y = song(12)
    padded = np.pad(y, (0, CLIP_SAMPLES - len(y)))

    short = classifier.classify(write(tmp_path / "short.wav", y))
    clip = classifier.classify(write(tmp_path / "clip.wav", padded))

    assert short.top == clip.top
    assert (short.seconds, clip.seconds) == (12, 30)


def test_bytes_are_classified_like_the_file(classifier: Classifier, tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", song(4))

    assert classifier.classify(path.read_bytes()) == classifier.classify(str(path))


def test_the_prediction_is_sorted_truncated_and_serialisable_as_json(
    classifier: Classifier, tmp_path: Path
) -> None:
    path = write(tmp_path / "song.wav", song(6))

    prediction = classifier.classify(path, top=2, timeline=True).as_dict()

    first, second = prediction["top"]
    assert first["probability"] >= second["probability"]
    assert first == {"genre": prediction["genre"], "probability": prediction["probability"]}
    assert [moment["start_s"] for moment in prediction["timeline"]] == [0, 3]
    assert json.loads(json.dumps(prediction)) == prediction
    assert set(classifier.classify(path).as_dict()) == {"genre", "probability", "top", "seconds"}


def test_a_silent_song_is_refused_and_silent_parts_are_left_out(
    classifier: Classifier, tmp_path: Path
) -> None:
    silence = np.zeros(7 * SAMPLE_RATE, dtype=np.float32)
    path = write(tmp_path / "silence.wav", silence)
    with pytest.raises(AudioError, match="is silent from beginning to end"):
        classifier.classify(path)

    prediction = classifier.classify(
        write(tmp_path / "late.wav", np.concatenate([silence, song(5)])), timeline=True
    )

    assert prediction.seconds == 12
    assert [moment.start_s for moment in prediction.timeline or ()] == [6, 9]


def test_the_segments_of_a_last_part_have_their_place_in_the_last_picture() -> None:
    from genre.classifier.inputs import segments

    picture = np.arange(1292, dtype=np.float32)[np.newaxis, np.newaxis]

    whole = segments(picture, range(0, CLIP_SAMPLES, SEGMENT_SAMPLES))
    between = segments(picture, [SEGMENT_SAMPLES // 2, 9 * SEGMENT_SAMPLES])

    np.testing.assert_array_equal(whole, cut(picture[np.newaxis]))
    np.testing.assert_array_equal(between[:, 0, 0, 0], [64, 9 * 129])
    assert between.shape == (2, 1, 1, 129)


def test_a_long_song_is_classified_from_pictures_too(tmp_path: Path) -> None:
    model = Classifier(ensemble(mlp(), network("cnn"), network("resnet")))

    prediction = model.classify(write(tmp_path / "song.wav", song(34)), timeline=True)

    assert [moment.start_s for moment in prediction.timeline or ()] == [*range(0, 33, 3), 31]


@pytest.mark.parametrize("content", [b"", b"this is no song"])
def test_what_is_not_audio_is_refused(classifier: Classifier, content: bytes) -> None:
    with pytest.raises(AudioError):
        classifier.classify(content)


def test_top_below_one_is_refused(classifier: Classifier) -> None:
    with pytest.raises(ParameterError, match="top is 0, expected at least 1"):
        classifier.classify(b"", top=0)


def test_a_folder_without_a_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no classifier here"):
        Classifier.from_folder(tmp_path)


def test_a_saved_classifier_predicts_as_before(classifier: Classifier, tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", song(6))
    classifier.ensemble.save(tmp_path / "classifier")

    again = Classifier.from_folder(tmp_path / "classifier")

    assert again.classify(path) == classifier.classify(path)


def test_the_frames_are_those_that_the_classifier_was_trained_with(tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", song(6))
    other = ensemble(mlp())
    other.preprocessing["features"] = {"n_fft": 1024, "hop_length": 256}

    assert Classifier(other).classify(path) != Classifier(ensemble(mlp())).classify(path)


def test_a_classifier_with_incomplete_preprocessing_is_refused() -> None:
    model = ensemble(mlp())
    del model.preprocessing["features"]["hop_length"]

    with pytest.raises(
        InputError, match=r"incomplete section features .*hop_length: Field required"
    ):
        Classifier(model)


def test_a_model_of_whole_clips_is_refused() -> None:
    model = mlp()
    model.input = "features_30s"  # type: ignore[misc]

    with pytest.raises(InputError, match=r"needs the input features_30s, .* expected features_3s"):
        Classifier(Ensemble("mlp", [model]))


@pytest.mark.real_audio
def test_a_real_song_is_decoded_to_its_end(classifier: Classifier, shared_data: Path) -> None:
    path = min((shared_data / "cc_songs").rglob("*.mp3"), key=lambda file: file.stat().st_size)

    prediction = classifier.classify(path, timeline=True)

    assert prediction.timeline is not None
    assert prediction.seconds == pytest.approx(soundfile.info(path).duration, abs=0.1)
    assert prediction.timeline[-1].start_s == pytest.approx(prediction.seconds - 3, abs=1e-4)
    assert sum(prediction.timeline[0].probabilities.values()) == pytest.approx(1)
