"""Results that are cached by content: if they change, so must the version of the code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from genre import duplicates, review
from genre.audio import scan, trim
from genre.core import cache
from genre.core.files import sha256_of
from genre.core.params import load_params
from genre.features.families import FAMILIES, compute_song
from genre.features.log_mel import picture_of_clip as log_mel
from genre.features.musicnn import patches
from genre.features.spectrogram import picture_of_clip as spectrogram
from genre.new_songs import read_samples, sample_song
from tests import songs

FRAMES = {"n_fft": 2048, "hop_length": 512}
PARAMS = load_params(Path(__file__).parent.parent / "params.yaml")

VERSIONS = cache.VERSIONS | {name: family.version for name, family in FAMILIES.items()}

# Of each part of the code: its version, and three numbers of what it makes of one song.
RECORDED: dict[str, tuple[int, list[float]]] = {
    "audio": (1, [12, -23.69133, 2529285]),
    "defects": (1, [2.916977, 4.023616, 18.67916]),
    "extended": (1, [2.941723, 6.317797, 43.64579]),
    "fingerprints": (1, [14.74279, 0.2478982, 9.868093]),
    "log_mel": (1, [5.844881, 7.134678, 13.49539]),
    "musicnn": (1, [3.435368, 4.337297, 190.2568]),
    "report": (1, [3.008062, 8.529637, -232.5857]),
    "samples": (1, [11.7802, 0.305829, 4.199708]),
    "spectrogram": (1, [9.63949, 6.565229, 13.16887]),
    "trim": (1, [0.002026575, 3.673054, 175.7761]),
}


def of(values: Any) -> list[float]:
    """Three numbers that change if any of `values`, large or small, changes by much."""
    if isinstance(values, bytes):
        values = np.frombuffer(values, dtype=np.uint8)
    values = np.arcsinh(1e4 * np.nan_to_num(np.asarray(values, dtype=np.float64).ravel()))
    return [values.mean(), values.std(), float(values @ np.cos(np.arange(values.size)))]


def of_picture(content: bytes) -> list[float]:
    return of(np.asarray(Image.open(io.BytesIO(content))))


def columns(family: str, clip: bytes) -> Any:
    result = compute_song(
        clip,
        sha256_of(clip),
        family=family,
        settings=PARAMS.features,
        position="middle",
        pretrained=Path(),
    )
    return np.frombuffer(result, dtype="<f8")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    path = tmp_path_factory.mktemp("song") / "song.wav"
    songs.write(path, songs.tone(12.0, seed=3, rate=44_100, channels=2), rate=44_100)
    content = path.read_bytes()
    whole = sha256_of(content)
    found = scan(content, max_seconds=600.0)
    clip = trim.clip_of_song(content, whole, position="middle")
    name = sha256_of(clip)
    preprocessing = {
        "features": {**FRAMES, "families": ["report"]},
        "log_mel": PARAMS.log_mel.model_dump(),
    }
    starts, _ = read_samples(
        sample_song(
            content,
            whole,
            inputs=["features_3s"],
            preprocessing=preprocessing,
            seed=0,
            max_seconds=600.0,
            pretrained=None,
        )
    )
    samples, _ = soundfile.read(io.BytesIO(clip), dtype="float32")
    return {
        "audio": [found.seconds, found.loudest_dbfs, int(found.audio_sha256[:6], 16)],
        "defects": of(review.read_measures(review.measures_of_clip(clip, name))),
        "extended": of(columns("extended", clip)),
        "fingerprints": of(duplicates.fingerprint_song(content, whole)[1::4]),
        "log_mel": of_picture(log_mel(clip, name, settings=PARAMS.log_mel)),
        "musicnn": of(patches.log_mel(samples)),
        "report": of(columns("report", clip)),
        "samples": of(starts),
        "spectrogram": of_picture(spectrogram(clip, name, settings=PARAMS.spectrograms)),
        "trim": of(samples),
    }  # fmt: skip


def test_every_part_has_a_version_and_recorded_numbers() -> None:
    assert {name: version for name, (version, _) in RECORDED.items()} == VERSIONS


@pytest.mark.parametrize("part", sorted(VERSIONS))
def test_results_are_those_of_this_version(part: str, measured: dict[str, list[float]]) -> None:
    """If a change is wanted: raise the version in `genre.core.cache`, and record anew."""
    assert measured[part] == pytest.approx(RECORDED[part][1], rel=1e-3, abs=1e-6)
