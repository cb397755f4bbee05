"""Embeddings of songs: their form, what must not be NaN, and the published activations."""

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

from genre.audio import decode, to_mono
from genre.errors import AudioError, InputError
from genre.musicnn import SAMPLE_RATE, TAGS, Embedder, Embedding, resample

Samples = npt.NDArray[np.float32]

LAYERS = {"tags": 50, "penultimate": 200, "mean_pool": 753, "max_pool": 753}


@pytest.fixture(scope="module")
def embedder(pretrained: Path) -> Embedder:  # noqa: F811
    return Embedder.load(pretrained, ["msd", "mtt"], device="cpu")


def music(seconds: float) -> Samples:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    voices = [np.sin(2 * np.pi * hz * t) * np.exp(-4 * (t % 0.5)) for hz in (220, 277, 330, 1234)]
    return (0.2 * np.sum(voices, axis=0)).astype(np.float32)


def every(embedding: Embedding) -> npt.NDArray[np.float32]:
    """All numbers of an embedding."""
    parts = [getattr(embedding, layer)[name] for layer in LAYERS for name in embedding.tags]
    return np.concatenate(parts, axis=1)


def test_an_embedding_has_a_row_a_patch_in_every_layer(embedder: Embedder) -> None:
    found = embedder.embed(music(6))
    assert embedder.weights == ("msd", "mtt") == tuple(found.tags)
    np.testing.assert_allclose(found.start_s, [0, 0.976, 1.952, 2.928])
    assert found.start_s.dtype == np.float64
    for layer, width in LAYERS.items():
        for values in getattr(found, layer).values():
            assert values.shape == (4, width)
            assert values.dtype == np.float32
    assert all(len(set(tags)) == 50 for tags in TAGS.values())


def test_the_mean_of_a_channel_is_at_most_its_maximum(embedder: Embedder) -> None:
    found = embedder.embed(music(4))
    assert (found.mean_pool["msd"] <= found.max_pool["msd"] + 1e-5).all()


def test_the_same_song_gives_the_same_numbers(embedder: Embedder) -> None:
    np.testing.assert_array_equal(every(embedder.embed(music(4))), every(embedder.embed(music(4))))


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
    found = embedder.embed(y)
    assert len(found.start_s) == (1 if len(y) <= 3 * SAMPLE_RATE else len(found.tags["msd"]))
    assert np.isfinite(every(found)).all()


def test_a_song_with_a_sample_that_is_no_number_is_refused(embedder: Embedder) -> None:
    y = music(4)
    y[-1] = np.nan
    with pytest.raises(AudioError, match="not numbers"):
        embedder.embed(y)


def test_patches_may_have_another_length_and_distance(embedder: Embedder) -> None:
    found = embedder.embed(music(4), patch_frames=100, hop_frames=20)
    assert len(found.start_s) == 8
    assert np.isfinite(every(found)).all()
    for wrong in ({"patch_frames": 0}, {"hop_frames": 0}):
        with pytest.raises(InputError, match="expected at least 1"):
            embedder.embed(music(4), **wrong)


@pytest.mark.slow
def test_a_long_song_is_heard_as_its_parts_are(embedder: Embedder) -> None:
    """Patches go through the network 32 at a time."""
    y = music(40)
    whole = embedder.embed(y, hop_frames=61)
    assert len(whole.start_s) == 38
    start = 30 * 61 * 256
    part = embedder.embed(y[start:], hop_frames=61)
    for layer in LAYERS:  # from the second patch on: the first begins at the part's end
        np.testing.assert_allclose(
            getattr(whole, layer)["msd"][31:], getattr(part, layer)["msd"][1:], rtol=1e-4, atol=1e-4
        )


def test_the_device_that_is_chosen_by_itself_gives_the_same_numbers(
    pretrained: Path,  # noqa: F811
) -> None:
    on_cpu = Embedder.load(pretrained, ["msd", "mtt"], device="cpu").embed(music(6))
    found = Embedder.load(pretrained, ["msd", "mtt"]).embed(music(6))  # a GPU where there is one
    for layer in LAYERS:
        for name, values in getattr(on_cpu, layer).items():
            np.testing.assert_allclose(getattr(found, layer)[name], values, rtol=1e-3, atol=1e-3)


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
    """Some of the clips, with `--soak` all; what is left is the rounding of float32 on the way."""
    embedder = Embedder.load(pretrained, ["msd"], device="cpu")
    ids, activations = published(shared_data)
    folder = shared_data / "gtzan_dev"
    paths = {str(clip): folder / clip.replace(".au", ".flac") for clip in np.unique(ids)}
    here = [clip for clip, path in paths.items() if path.exists()]  # sorted
    assert len(here) >= 100
    differences = []
    for clip in draws.random().sample(here, draws.count(24, len(here))):
        audio = decode(paths[clip])
        found = embedder.embed(resample(to_mono(audio.samples), audio.sample_rate)).tags["msd"]
        expected = activations[ids == clip]
        assert found.shape == expected.shape
        differences.append(np.abs(found - expected))
    assert np.percentile(np.concatenate(differences), 99) <= 1e-3
    assert np.concatenate(differences).max() <= 1e-3


def test_the_package_is_imported_without_heavy_libraries() -> None:
    heavy = "{'torch', 'librosa', 'scipy', 'safetensors'}"
    code = f"import sys, genre.musicnn; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
