"""The classifier's inputs for ten random samples of a song, computed by workers song by song.

The samples depend on the song's content and the seed; their inputs depend on the classifier's
preprocessing and not on its weights, so they can be cached.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, verify
from genre.classifier.inputs import Preprocessing, make_inputs, other_rates
from genre.classifier.samples import random_samples
from genre.core.cache import VERSIONS
from genre.core.errors import AudioError
from genre.features.families import FAMILIES
from genre.models.base import Input

SAMPLES = 10  # of each song, as in the report

# The versions of the code that the inputs depend on.
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

STARTS, COLUMNS = "places", "columns"
FEATURES: Input = "features_3s"


def sample_song(
    source: Path | bytes,
    content: str,
    *,
    inputs: Sequence[Input],
    preprocessing: Preprocessing,
    seed: int,
    max_seconds: float,
    pretrained: Path | None = None,
) -> bytes:
    """Compute `inputs` for the samples of the song whose sha256 is `content`; see `read_samples`.

    `pretrained` is the folder of the pretrained weights, if the features need any. Samples of
    digital silence are left out, as in evaluation. Raises `AudioError` if the file has changed,
    cannot be decoded, is longer than `max_seconds`, or is silent in every sample.
    """
    verify(source, content)
    own = [seed, int(content, 16)]
    drawn = random_samples(
        source,
        SAMPLES,
        seed=own,
        max_seconds=max_seconds,
        other_rates=other_rates(inputs, preprocessing),
    )
    audible = [window for window in drawn if window.segment(window.offsets[0]).any()]
    if not audible:
        raise AudioError(f"is silent in each of its {SAMPLES} samples")
    arrays: dict[str, Any] = {
        STARTS: np.array([window.start + window.offsets[0] for window in audible], dtype=np.int64)
    }
    for name, make in make_inputs(inputs, preprocessing, "new songs", pretrained).items():
        rows = [make(window, window.offsets) for window in audible]
        if name == FEATURES:
            arrays[COLUMNS] = np.array(list(rows[0]))
            rows = [np.array(list(row.values()), dtype=np.float64).T for row in rows]
        arrays[name] = np.concatenate(rows)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_samples(stored: bytes) -> tuple[npt.NDArray[np.float64], dict[Input, Any]]:
    """The starts of the samples in seconds [shape=(n,)], and the inputs of `Ensemble.proba`."""
    with np.load(io.BytesIO(stored), allow_pickle=False) as file:
        arrays: dict[Any, npt.NDArray[Any]] = dict(file)
    starts = arrays.pop(STARTS) / SAMPLE_RATE
    names = [str(name) for name in arrays.pop(COLUMNS, ())]
    inputs: dict[Input, Any] = dict(arrays)
    if FEATURES in inputs:
        inputs[FEATURES] = dict(zip(names, arrays[FEATURES].T, strict=True))
    return starts, inputs
