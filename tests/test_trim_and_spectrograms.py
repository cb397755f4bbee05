"""The steps trim and spectrograms."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.signal import spectrogram as reference
from songs import write_collection

from genre.audio import CLIP_SAMPLES, SAMPLE_RATE, SEGMENT_SAMPLES, decode, read_clip
from genre.core.errors import InputError, ParameterError
from genre.core.params import Params, load_params
from genre.features.spectrogram import colours, draw, levels
from tasks import ingest, spectrograms, trim


@pytest.fixture
def params(project: Path) -> Params:
    return load_params(project / "params.yaml")


@pytest.fixture
def collected(tmp_path: Path, params: Params) -> Path:
    write_collection(tmp_path / "data/raw", songs=3)
    ingest.run(params, tmp_path)
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_usable_song_becomes_a_clip_of_thirty_seconds(
    collected: Path, params: Params
) -> None:
    summary = trim.run(params, collected)

    clips = sorted((collected / "data/clips").iterdir())
    assert summary == "6 clips of 30 s (6 computed, 0 reused)"
    assert len(clips) == 6
    for clip in clips:
        decoded = decode(clip)
        assert decoded.codec == "FLAC/PCM_16"
        assert decoded.sample_rate == SAMPLE_RATE
        assert decoded.samples.shape == (CLIP_SAMPLES, 1)


@pytest.mark.slow
def test_the_segments_are_written_when_asked(collected: Path, params: Params) -> None:
    settings = params.trim.model_copy(update={"export_segments": True})
    trim.run(params.model_copy(update={"trim": settings}), collected)

    clip = sorted((collected / "data/clips").glob("*.flac"))[0]
    parts = sorted((collected / "data/clips/segments").glob(f"{clip.stem}.*.wav"))
    assert len(parts) == 10
    y = np.concatenate([decode(part).samples[:, 0] for part in parts])
    assert decode(parts[0]).samples.shape == (SEGMENT_SAMPLES, 1)
    np.testing.assert_array_equal(y, read_clip(clip))


@pytest.mark.slow
def test_a_song_that_changed_since_ingest_is_reported_and_the_others_are_cut(
    collected: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    (collected / "data/raw/rock/rock1.wav").write_text("gone bad")

    summary = trim.run(params, collected)

    assert summary == "5 clips of 30 s (5 computed, 0 reused, 1 set aside)"
    assert "rock/rock1.wav has changed" in capsys.readouterr().out


@pytest.mark.slow
def test_clips_and_pictures_are_the_same_bytes_every_time(collected: Path, params: Params) -> None:
    written = []
    for workers in (1, 2):
        shutil.rmtree(collected / ".cache")
        compute = params.compute.model_copy(update={"workers": workers})
        settings = params.model_copy(update={"compute": compute})
        trim.run(settings, collected)
        spectrograms.run(settings, collected)
        written.append(
            (digests(collected / "data/clips"), digests(collected / "data/spectrograms"))
        )

    assert written[0] == written[1]


def test_the_pictures_have_four_channels_and_open_in_any_viewer(
    collected: Path, params: Params
) -> None:
    trim.run(params, collected)
    summary = spectrograms.run(params, collected)

    pictures = sorted((collected / "data/spectrograms").iterdir())
    assert summary == "6 spectrograms of 320 × 256 (6 computed, 0 reused)"
    for path in pictures:
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("RGBA", (320, 256))
            # The songs are 6 s long: the rest has the colour of silence.
            pixels = np.asarray(picture)
        silence = colours(params.spectrograms.colour_map)[0]
        assert (pixels[:, 80:] == silence).all()
        assert (pixels[:, :60] != silence).any()


def test_levels_are_those_of_scipys_spectrogram_in_decibels() -> None:
    y = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)

    found = levels(y, nperseg=512, noverlap=128, dynamic_range_db=60)

    _, _, power = reference(y, SAMPLE_RATE, nperseg=512, noverlap=128)
    decibels = np.maximum(10 * np.log10(power / power.max()), -60)
    np.testing.assert_allclose(found * 60 - 60, decibels, atol=1e-4)


def test_low_notes_are_drawn_below_high_ones(params: Params) -> None:
    time = np.arange(CLIP_SAMPLES) / SAMPLE_RATE
    rows = []
    for pitch in (500, 5000):
        image = draw(np.sin(2 * np.pi * pitch * time).astype(np.float32), params.spectrograms)
        rows.append(int(image[:, 160, :3].sum(axis=1).argmax()))

    assert rows[0] == pytest.approx(256 * (1 - 500 / 11_025), abs=2)
    assert rows[1] == pytest.approx(256 * (1 - 5000 / 11_025), abs=2)


def test_digital_silence_is_drawn_as_silence(params: Params) -> None:
    image = draw(np.zeros(CLIP_SAMPLES, dtype=np.float32), params.spectrograms)

    assert (image == colours(params.spectrograms.colour_map)[0]).all()


def test_an_unknown_colour_map_is_named_before_any_work(collected: Path, params: Params) -> None:
    settings = params.spectrograms.model_copy(update={"colour_map": "virids"})

    with pytest.raises(ParameterError, match="did you mean viridis"):
        spectrograms.run(params.model_copy(update={"spectrograms": settings}), collected)


def test_a_step_without_its_input_says_which_step_comes_first(
    tmp_path: Path, params: Params
) -> None:
    with pytest.raises(InputError, match="run the step ingest first"):
        trim.run(params, tmp_path)
    with pytest.raises(InputError, match="run the step trim first"):
        spectrograms.run(params, tmp_path)
