"""What a classifier looks at in ten random samples of a song; made by workers, song by song.

Which samples are drawn depends on a song's content and on the seed, and on nothing else; what is
made of them depends on the classifier's settings, and not on what it has learned.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, verify
from genre.classifier.inputs import Front, looks_at, others
from genre.classifier.samples import random_samples
from genre.core.cache import VERSIONS
from genre.core.errors import AudioError
from genre.features.families import FAMILIES
from genre.models.base import Input

SAMPLES = 10  # of each song, as in the report

# What the samples of a song depend on besides its content.
CODE = {
    **{name: VERSIONS[name] for name in ("audio", "log_mel", "samples", "spectrogram")},
    **{family.name: family.version for family in FAMILIES.values()},
}
LIBRARIES = (
    "av",
    "librosa",
    "matplotlib",
    "numba",
    "numpy",
    "pillow",
    "scipy",
    "soundfile",
    "soxr",
    "torch",
)

PLACES, COLUMNS = "places", "columns"
FEATURES: Input = "features_3s"


def sample_song(
    source: Path | bytes,
    content: str,
    *,
    inputs: Sequence[Input],
    front: Front,
    seed: int,
    max_seconds: float,
    pretrained: Path | None = None,
) -> bytes:
    """What `inputs` are, made with `front`, in the samples of a song whose sha256 is `content`.

    `pretrained` is the folder of the weights that listen, where `front` needs them. Samples that
    are nothing but digital silence are left out, as in evaluation. `read_samples` reads what is
    returned. Raises `AudioError` where the song is another by now, cannot be heard, is longer than
    `max_seconds`, or is silent in every sample.
    """
    verify(source, content)
    own = [seed, int(content, 16)]
    drawn = random_samples(
        source, SAMPLES, seed=own, max_seconds=max_seconds, others=others(inputs, front)
    )
    heard = [stretch for stretch in drawn if stretch.segment(stretch.offsets[0]).any()]
    if not heard:
        raise AudioError(f"is silent in each of its {SAMPLES} samples")
    arrays: dict[str, Any] = {
        PLACES: np.array([stretch.start + stretch.offsets[0] for stretch in heard], dtype=np.int64)
    }
    for name, look in looks_at(inputs, front, "asked", pretrained).items():
        rows = [look(stretch, stretch.offsets) for stretch in heard]
        if name == FEATURES:
            arrays[COLUMNS] = np.array(list(rows[0]))
            rows = [np.array(list(row.values()), dtype=np.float64).T for row in rows]
        arrays[name] = np.concatenate(rows)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_samples(stored: bytes) -> tuple[npt.NDArray[np.float64], dict[Input, Any]]:
    """Where the samples start, in seconds [shape=(n,)], and what `Ensemble.proba` looks at."""
    with np.load(io.BytesIO(stored), allow_pickle=False) as file:
        arrays: dict[Any, npt.NDArray[Any]] = dict(file)
    starts = arrays.pop(PLACES) / SAMPLE_RATE
    names = [str(name) for name in arrays.pop(COLUMNS, ())]
    inputs: dict[Input, Any] = dict(arrays)
    if FEATURES in inputs:
        inputs[FEATURES] = dict(zip(names, arrays[FEATURES].T, strict=True))
    return starts, inputs
