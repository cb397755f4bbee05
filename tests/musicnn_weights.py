"""The published wheel of MusiCNN and its weights, fetched once a session as users fetch them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from genre.core.files import write_bytes
from genre.features.musicnn import weights, wheel

CHECKOUT = Path(__file__).parent.parent


@cache
def published_wheel() -> bytes:
    """The wheel, through pip; a test that needs it fails where pip cannot fetch it."""
    return wheel.fetch()


@cache
def weights_in(folder: Path) -> Path:
    """A folder with both sets of weights: the checkout's, or one filled at `folder`."""
    ours = CHECKOUT / "data/pretrained"
    if all(weights.read_right(ours, name) for name in weights.SHA256):
        return ours
    for name, content in wheel.convert(published_wheel(), list(weights.SHA256)).items():
        write_bytes(folder / weights.file_name(name), content)
    return folder


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `msd.safetensors` and `mtt.safetensors`."""
    return weights_in(tmp_path_factory.getbasetemp() / "pretrained")
