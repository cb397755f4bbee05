"""A song is listened to whole, by the training's own code, and answered as evaluate answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from registry_project import GENRES, write_model

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, read_clip
from genre.classifier import Classifier, Frames, segments
from genre.errors import AudioError, InputError, ParameterError
from genre.features import NAMES, extract_clip
from genre.files import write_json
from genre.models import load_model
from genre.models.mlp import Mlp

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model, made by hand: every feature matters, nothing is certain."""
    root = tmp_path_factory.mktemp("classifier")
    (root / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())
    write_model(root, GENRES)
    model = Mlp.load(root / "models/mlp")
    random = np.random.default_rng(0)
    model.mean, model.scale = np.zeros(len(NAMES)), np.full(len(NAMES), 1000.0)
    model.weights = [random.normal(size=w.shape).astype(np.float32) for w in model.weights]
    model.save(root / "models/mlp")
    return root / "models/mlp"


def song(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    """Tones that change every second, with noise, as a clip's 16-bit values."""
    random = np.random.default_rng(seed)
    n = int(seconds * SAMPLE_RATE)
    pitch = 220 * 2 ** (random.integers(0, 24, int(seconds) + 1) / 12)
    t = np.arange(n) / SAMPLE_RATE
    y = 0.3 * np.sin(2 * np.pi * pitch[t.astype(int)] * t) + 0.05 * random.normal(size=n)
    return (np.rint(y * 32_767) / 32_768).astype(np.float32)


def write(path: Path, y: npt.NDArray[np.float32]) -> Path:
    soundfile.write(path, y, SAMPLE_RATE, subtype="PCM_16")
    return path


def test_a_clip_is_answered_exactly_as_evaluate_answers_it(folder: Path, tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.wav", song(30))
    _, rows = extract_clip(read_clip(clip), SAMPLE_RATE)
    X = np.array([[row[name] for name in NAMES] for row in rows])
    # evaluate asks for the rows of all songs at once and then takes the mean of each song
    crowd = np.concatenate([np.random.default_rng(1).normal(size=(300, len(NAMES))), X])
    expected = load_model(folder).predict_proba(crowd)[300:]

    answer = Classifier.from_folder(folder).classify(clip, top=3, timeline=True)

    assert answer.timeline is not None
    found = np.array([[m.probabilities[genre] for genre in GENRES] for m in answer.timeline])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    mean = dict(zip(GENRES, expected.mean(axis=0), strict=True))
    assert answer.genre == max(mean, key=mean.__getitem__)
    assert {c.genre: c.probability for c in answer.top} == pytest.approx(mean, abs=1e-12)


def test_a_short_song_is_answered_as_its_clip_without_the_silence(
    folder: Path, tmp_path: Path
) -> None:
    y = song(12)
    padded = np.pad(y, (0, CLIP_SAMPLES - len(y)))
    classifier = Classifier.from_folder(folder)

    short = classifier.classify(write(tmp_path / "short.wav", y))
    clip = classifier.classify(write(tmp_path / "clip.wav", padded))

    assert short.top == clip.top
    assert (short.seconds, clip.seconds) == (12, 30)


def test_bytes_are_heard_like_the_file(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "song.wav", song(4))
    classifier = Classifier.from_folder(folder)

    assert classifier.classify(path.read_bytes()) == classifier.classify(str(path))


def test_the_answer_is_sorted_and_cut_and_can_be_written_as_json(
    folder: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "song.wav", song(6))

    answer = Classifier.from_folder(folder).classify(path, top=2, timeline=True).as_dict()

    first, second = answer["top"]
    assert first["probability"] >= second["probability"]
    assert first == {"genre": answer["genre"], "probability": answer["probability"]}
    assert [moment["start_s"] for moment in answer["timeline"]] == [0, 3]
    assert json.loads(json.dumps(answer)) == answer
    short = Classifier.from_folder(folder).classify(path).as_dict()
    assert set(short) == {"genre", "probability", "top", "seconds"}


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        (1, [0]),
        (SEGMENT_SAMPLES, [0]),
        (SEGMENT_SAMPLES + 1, [0, 1]),
        (CLIP_SAMPLES, list(range(0, CLIP_SAMPLES, SEGMENT_SAMPLES))),
        (2 * SEGMENT_SAMPLES + 500, [0, SEGMENT_SAMPLES, SEGMENT_SAMPLES + 500]),
    ],
)
def test_a_song_of_any_length_is_cut_into_whole_segments_from_end_to_end(
    length: int, starts: list[int]
) -> None:
    y = np.arange(1, length + 1, dtype=np.float32)

    cut = list(segments(y))

    assert [start for start, _ in cut] == starts
    assert {len(part) for _, part in cut} == {SEGMENT_SAMPLES}
    heard = np.zeros(max(length, SEGMENT_SAMPLES), dtype=np.float32)
    for start, part in cut:
        heard[start : start + SEGMENT_SAMPLES] = part
    np.testing.assert_array_equal(heard[:length], y)
    assert not heard[length:].any()


def test_a_silent_song_is_refused(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "silence.wav", np.zeros(7 * SAMPLE_RATE, dtype=np.float32))

    with pytest.raises(AudioError, match="is silent from beginning to end"):
        Classifier.from_folder(folder).classify(path)


@pytest.mark.parametrize("content", [b"", b"this is no song"])
def test_what_is_no_audio_is_refused(folder: Path, content: bytes) -> None:
    with pytest.raises(AudioError):
        Classifier.from_folder(folder).classify(content)


def test_asking_for_no_genre_is_refused(folder: Path) -> None:
    with pytest.raises(ParameterError, match="top is 0, expected at least 1"):
        Classifier.from_folder(folder).classify(b"", top=0)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trained model here"):
        Classifier.from_folder(tmp_path)


def test_a_model_of_pictures_cannot_be_asked(folder: Path) -> None:
    model = load_model(folder)
    model.input = "spectrogram"  # type: ignore[misc]

    with pytest.raises(InputError, match="answers from spectrogram, expected features_3s"):
        Classifier(model, Frames())


def test_the_frames_travel_with_the_model(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mlp"
    load_model(folder).save(copy)
    assert Classifier.from_folder(copy, Frames(4096, 1024)).frames == Frames(4096, 1024)

    Frames(1024, 256).write(copy)

    assert Classifier.from_folder(copy, Frames(4096, 1024)).frames == Frames(1024, 256)


def test_damaged_frames_are_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mlp"
    load_model(folder).save(copy)
    write_json(copy / "frames.json", {"n_fft": 1024, "hop": 256})

    with pytest.raises(InputError, match=r"frames\.json: found no n_fft and hop_length"):
        Classifier.from_folder(copy)


@pytest.mark.real_audio
def test_a_real_song_is_heard_to_its_end(folder: Path, shared_data: Path) -> None:
    path = min((shared_data / "cc_songs").rglob("*.mp3"), key=lambda file: file.stat().st_size)

    answer = Classifier.from_folder(folder).classify(path, timeline=True)

    assert answer.timeline is not None
    assert answer.seconds == pytest.approx(soundfile.info(path).duration, abs=0.1)
    assert answer.timeline[-1].start_s == pytest.approx(answer.seconds - 3, abs=1e-4)
    assert sum(answer.timeline[0].probabilities.values()) == pytest.approx(1)
