"""Rows of songs: their form, what must not be NaN, and the published activations."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import Draws
from musicnn_weights import pretrained  # noqa: F401
from resampy import resampy

from genre.audio import decode, resample, to_mono
from genre.core.errors import AudioError, InputError
from genre.features.musicnn import SAMPLE_RATE, TAGS, Embedder
from genre.features.musicnn.columns import names

Samples = npt.NDArray[np.float32]

COLUMNS = names(["msd", "mtt"])


@pytest.fixture(scope="module")
def embedder(pretrained: Path) -> Embedder:  # noqa: F811
    return Embedder.load(pretrained, ["msd", "mtt"], device="cpu")


def music(seconds: float) -> Samples:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    voices = [np.sin(2 * np.pi * hz * t) * np.exp(-4 * (t % 0.5)) for hz in (220, 277, 330, 1234)]
    return (0.2 * np.sum(voices, axis=0)).astype(np.float32)


def layer(rows: Samples, name: str) -> Samples:
    """The columns of one layer of one set of weights."""
    return rows[:, [column.startswith(f"{name}_") for column in COLUMNS]]


def test_there_is_a_row_a_patch_with_every_layer(embedder: Embedder) -> None:
    rows = embedder.embed(music(6))
    assert embedder.weights == ("msd", "mtt")
    assert rows.shape == (4, len(COLUMNS))
    assert rows.dtype == np.float32
    assert (layer(rows, "msd_mean_pool") <= layer(rows, "msd_max_pool") + 1e-5).all()
    for weights, tags in TAGS.items():
        assert len(set(tags)) == 50
        activations = layer(rows, f"{weights}_tags")
        assert ((activations > 0) & (activations < 1)).all()
    np.testing.assert_array_equal(embedder.embed(music(6)), rows)


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(0, np.float32),
        np.zeros(5 * SAMPLE_RATE, np.float32),
        np.ones(5 * SAMPLE_RATE, np.float32),
        np.full(5 * SAMPLE_RATE, 3e38, np.float32),
        1e6 * music(4),
        np.sign(music(4)),
        music(0.01),
        music(1),
    ],
    ids=["nothing", "silence", "DC", "huge", "very loud", "square", "10 ms", "1 s"],
)
def test_whatever_the_song_the_numbers_are_finite(embedder: Embedder, y: Samples) -> None:
    rows = embedder.embed(y)
    assert len(rows) == (1 if len(y) <= 3 * SAMPLE_RATE else 1 + (len(y) // 256 - 186) // 61)
    assert np.isfinite(rows).all()


def test_a_song_with_a_sample_that_is_no_number_is_refused(embedder: Embedder) -> None:
    y = music(4)
    y[-1] = np.nan
    with pytest.raises(AudioError, match="not numbers"):
        embedder.embed(y)


def test_patches_may_have_another_length_and_distance(embedder: Embedder) -> None:
    rows = embedder.embed(music(4), patch_frames=100, hop_frames=20)
    assert len(rows) == 8
    assert np.isfinite(rows).all()
    for wrong in ({"patch_frames": 0}, {"hop_frames": 0}):
        with pytest.raises(InputError, match="expected at least 1"):
            embedder.embed(music(4), **wrong)


@pytest.mark.slow
def test_a_long_song_has_the_rows_of_its_parts(embedder: Embedder) -> None:
    """Patches go through the network 32 at a time."""
    y = music(40)
    whole = embedder.embed(y, hop_frames=61)
    assert len(whole) == 38
    part = embedder.embed(y[30 * 61 * 256 :], hop_frames=61)
    # From the second patch on: the first begins where the part is mirrored.
    np.testing.assert_allclose(whole[31:], part[1:], rtol=1e-4, atol=1e-4)


def test_the_device_that_is_chosen_by_itself_gives_the_same_numbers(
    pretrained: Path,  # noqa: F811
) -> None:
    on_cpu = Embedder.load(pretrained, ["msd", "mtt"], device="cpu").embed(music(6))
    found = Embedder.load(pretrained, ["msd", "mtt"]).embed(music(6))  # on a GPU if there is one
    np.testing.assert_allclose(found, on_cpu, rtol=1e-3, atol=1e-3)


def test_weights_that_are_missing_or_unknown_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"msd\.safetensors: cannot be read .*dvc repro"):
        Embedder.load(tmp_path, ["msd"])
    with pytest.raises(InputError, match="found 'vgg', expected msd or mtt"):
        Embedder.load(tmp_path, ["vgg"])
    with pytest.raises(InputError, match="found none"):
        Embedder.load(tmp_path, [])


def test_a_replaced_file_is_refused(tmp_path: Path, pretrained: Path) -> None:  # noqa: F811
    shutil.copy(pretrained / "mtt.safetensors", tmp_path / "msd.safetensors")
    with pytest.raises(InputError, match=r"msd\.safetensors: found a file of sha256 .* expected"):
        Embedder.load(tmp_path, ["msd"])


@lru_cache(maxsize=1)
def published(shared_data: Path) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
    with np.load(shared_data / "gtzan_msd_musicnn_taggrams_dev.npz") as file:
        return file["IDS"], file["X"]


@pytest.mark.real_audio
@pytest.mark.slow
def test_tags_are_the_published_ones(
    shared_data: Path,
    pretrained: Path,  # noqa: F811
    draws: Draws,
) -> None:
    """Some of the clips, with `--soak` all: on the published input, and on ours."""
    embedder = Embedder.load(pretrained, ["msd"], device="cpu")
    ids, activations = published(shared_data)
    folder = shared_data / "gtzan_dev"
    paths = {str(clip): folder / clip.replace(".au", ".flac") for clip in np.unique(ids)}
    here = [clip for clip, path in paths.items() if path.exists()]  # sorted
    assert len(here) >= 100
    on_the_same_input, end_to_end = [], []
    for clip in draws.random().sample(here, draws.count(6, len(here))):
        audio = decode(paths[clip])
        y = to_mono(audio.samples)
        expected = activations[ids == clip]
        for resampler, differences in ((resampy, on_the_same_input), (resample, end_to_end)):
            rows = embedder.embed(resampler(y, audio.sample_rate, SAMPLE_RATE))
            differences.append(np.abs(rows[:, :50] - expected))
    apart = np.concatenate(on_the_same_input)
    assert np.percentile(apart, 99.9) <= 1e-5
    assert apart.max() <= 2e-5
    apart = np.concatenate(end_to_end)
    assert np.median(apart) <= 1e-3
    assert np.percentile(apart, 99) <= 0.05
    assert apart.max() <= 0.2


def test_the_package_is_imported_without_heavy_libraries() -> None:
    heavy = "{'torch', 'librosa', 'scipy', 'safetensors'}"
    code = f"import sys, genre.features.musicnn; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
