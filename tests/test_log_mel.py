"""Log-mel spectrograms and the step that draws them."""

from __future__ import annotations

import random
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from songs import tone, write_collection

from genre.audio import (
    CLIP_SAMPLES,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    SEGMENTS_PER_CLIP,
    load,
    read_clip,
)
from genre.core.errors import InputError
from genre.core.params import Params, load_params
from genre.features import log_mel
from genre.models.images import cut
from tasks import ingest, spectrograms, trim

HALF_A_STEP = 0.2505  # dB; rounded to half decibels, and a little for another order of sums
AT_THE_ENDS = 2  # frames of 2048 samples that look beyond a stretch, at hops of 512


@pytest.fixture(scope="module")
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


@pytest.fixture(scope="module")
def clip() -> npt.NDArray[np.float32]:
    return tone(30)[:, 0]


def decibels(y: npt.NDArray[np.float32], n_fft: int, hop_length: int) -> npt.NDArray[np.float32]:
    """What librosa finds, on the scale that the shades keep."""
    power = librosa.feature.melspectrogram(y=y, sr=SAMPLE_RATE, n_fft=n_fft, hop_length=hop_length)
    return librosa.power_to_db(power, ref=1.0, amin=1e-8, top_db=None)


@pytest.mark.parametrize(("n_fft", "hop_length"), [(2048, 512), (1024, 500), (4096, 4096)])
def test_a_log_mel_spectrogram_is_librosas_in_half_decibels(
    params: Params, n_fft: int, hop_length: int
) -> None:
    y = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
    y *= np.geomspace(1e-5, 1, len(y), dtype=np.float32)
    settings = params.log_mel.model_copy(update={"n_fft": n_fft, "hop_length": hop_length})
    expected = decibels(y, n_fft, hop_length)

    found = log_mel.log_mel(y, settings)

    assert found.dtype == np.uint8
    assert found.shape == expected.shape == (128, 1 + len(y) // hop_length)
    np.testing.assert_allclose(found * 0.5 - 80, expected, atol=HALF_A_STEP)


@pytest.mark.real_audio
def test_real_songs_are_drawn_as_librosa_does_and_fit_the_scale(
    shared_data: Path, params: Params
) -> None:
    for genre in ("classical", "hiphop", "metal"):
        y = load(min((shared_data / "gtzan_dev" / genre).glob("*.flac")))[:CLIP_SAMPLES]

        found = log_mel.log_mel(y, params.log_mel)

        np.testing.assert_allclose(found * 0.5 - 80, decibels(y, 2048, 512), atol=HALF_A_STEP)
        assert found.max() < 255
        assert (found == 0).mean() < 0.05
        assert 60_000 < len(log_mel.encode_png(found)) < 120_000  # bytes on disk


def test_nothing_between_silence_and_full_scale_is_cut_off(params: Params) -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    silence = np.zeros(SAMPLE_RATE, dtype=np.float32)
    square = np.sign(np.sin(2 * np.pi * 258 * time)).astype(np.float32)
    softest = square / 2**15  # the last bit of 16, up and down

    assert not log_mel.log_mel(silence, params.log_mel).any()
    assert log_mel.log_mel(softest, params.log_mel).any(axis=0).all()
    assert 240 < log_mel.log_mel(square, params.log_mel).max() < 255


def test_a_level_is_what_it_is_whatever_else_is_in_the_song(params: Params) -> None:
    soft = tone(3)[:, 0] / 100
    then_loud = np.concatenate([soft, tone(3, seed=1)[:, 0]])

    alone, before = (log_mel.log_mel(y, params.log_mel) for y in (soft, then_loud))
    twentyfold = log_mel.log_mel(soft * 10, params.log_mel)  # 20 dB more

    far = alone.shape[1] - AT_THE_ENDS - 1
    np.testing.assert_array_equal(before[:, :far], alone[:, :far])
    assert abs(twentyfold.mean() - alone.mean() - 40) < 1


def test_three_seconds_drawn_alone_differ_from_their_place_in_the_clip_at_the_ends_only(
    params: Params, clip: npt.NDArray[np.float32]
) -> None:
    # given: 3 s that begin at a frame's centre, away from the ends of the clip
    first = 400
    start = first * params.log_mel.hop_length

    alone = log_mel.log_mel(clip[start : start + SEGMENT_SAMPLES], params.log_mel).astype(int)
    within = log_mel.log_mel(clip, params.log_mel)[:, first : first + alone.shape[1]].astype(int)

    # then: the frames that look beyond see silence where the clip goes on
    apart = np.abs(alone - within)
    assert apart[:, AT_THE_ENDS:-AT_THE_ENDS].max() <= 1  # a sum in another order may round over
    assert (apart[:, AT_THE_ENDS:-AT_THE_ENDS] > 0).mean() < 0.001
    assert apart[:, 0].mean() > 2
    assert apart[:, -1].mean() > 2


def test_a_clip_has_a_segments_columns_ten_times(
    params: Params, clip: npt.NDArray[np.float32]
) -> None:
    picture = log_mel.log_mel(clip, params.log_mel)
    parts = cut(picture[np.newaxis, np.newaxis])

    assert picture.shape == (128, 1292)
    assert parts.shape == (SEGMENTS_PER_CLIP, 1, 128, 129)
    # The last begins two columns early: 129 columns are 102 samples less than 3 s.
    early = 9 * (SEGMENT_SAMPLES - 129 * params.log_mel.hop_length) / params.log_mel.hop_length
    assert 1.7 < early < 1.9


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 2047])
def test_shorter_than_a_frame_is_drawn_too(samples: int, params: Params) -> None:
    found = log_mel.log_mel(np.ones(samples, dtype=np.float32), params.log_mel)
    assert found.shape == (128, 1 + samples // 512)


def test_the_step_draws_low_bands_at_the_bottom_and_draws_nothing_twice(
    params: Params, tmp_path: Path
) -> None:
    write_collection(tmp_path / "data/raw", songs=3)
    ingest.run(params, tmp_path)
    train = params.train.model_copy(update={"picture_models": ["resnet"]})
    params = params.model_copy(update={"train": train})
    with pytest.raises(InputError, match="run the step trim first"):
        spectrograms.run(params, tmp_path)
    trim.run(params, tmp_path)

    summary = spectrograms.run(params, tmp_path)
    assert summary.endswith("; 6 log-mel spectrograms (6 computed, 0 reused)")

    clips = sorted((tmp_path / "data/clips").iterdir())
    files = {path.stem: path for path in (tmp_path / "data/log_mel").iterdir()}
    assert set(files) == {clip.stem for clip in clips}
    for clip in clips:
        levels = log_mel.log_mel(read_clip(clip), params.log_mel)
        with Image.open(files[clip.stem]) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (1292, 128))
            np.testing.assert_array_equal(np.asarray(picture), levels[::-1])
        np.testing.assert_array_equal(log_mel.read(files[clip.stem]), levels)

    # and: the same again costs nothing and is the same; other frames are drawn anew
    before = {name: path.read_bytes() for name, path in files.items()}
    summary = spectrograms.run(params, tmp_path)
    assert summary.endswith("; 6 log-mel spectrograms (0 computed, 6 reused)")
    assert {name: path.read_bytes() for name, path in files.items()} == before
    wider = params.log_mel.model_copy(update={"hop_length": 1024})
    summary = spectrograms.run(params.model_copy(update={"log_mel": wider}), tmp_path)
    assert summary.endswith("; 6 log-mel spectrograms (6 computed, 0 reused)")


def test_without_a_model_of_them_no_log_mel_spectrograms_are_drawn(
    params: Params, tmp_path: Path
) -> None:
    write_collection(tmp_path / "data/raw", songs=3)
    for step in (ingest, trim):
        step.run(params, tmp_path)

    assert "log-mel" not in spectrograms.run(params, tmp_path)

    assert list((tmp_path / "data/log_mel").iterdir()) == []
    assert len(list((tmp_path / "data/spectrograms").iterdir())) == 6


def test_a_damaged_picture_is_named_and_never_read_as_another(
    params: Params, clip: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    levels = log_mel.log_mel(clip[:SEGMENT_SAMPLES], params.log_mel)
    whole = log_mel.encode_png(levels)
    path = tmp_path / "one.png"
    dice = random.Random(0)
    refused: list[str] = []
    for _ in range(300):
        broken = bytearray(whole)
        if dice.random() < 0.5:
            del broken[dice.randrange(len(whole)) :]
        else:
            broken[dice.randrange(100)] ^= 1 << dice.randrange(8)
        path.write_bytes(broken)
        try:
            found = log_mel.read(path)
        except InputError as error:
            refused.append(str(error))
        else:  # the damage is behind the picture
            np.testing.assert_array_equal(found, levels)
    assert len(refused) > 290
    assert all("one.png: " in message and "dvc repro" in message for message in refused)


@pytest.mark.parametrize(
    ("mode", "height", "message"),
    [
        ("RGBA", 128, r"shape \(128, 1292, 4\), expected a grey picture of 128 rows"),
        ("L", 64, r"found uint8 values of shape \(64, 1292\)"),
    ],
)
def test_another_kind_of_picture_is_refused(
    mode: str, height: int, message: str, tmp_path: Path
) -> None:
    Image.new(mode, (1292, height)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match=message):
        log_mel.read(tmp_path / "one.png")
