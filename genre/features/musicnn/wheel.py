"""Fetch MusiCNN's published weights: a wheel, downloaded with the user's pip.

pip uses the index, the proxy and the certificates of the user; it downloads and does not install.
No code of the wheel is run, and it is opened only if its sha256 is the one below. It is read
without TensorFlow.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genre.core.errors import GenreError, InputError
from genre.core.files import sha256_of
from genre.features.musicnn.weights import ATTRIBUTION, LICENCE, SOURCE

REQUIREMENT = "musicnn==0.1.0"
WHEEL = "musicnn-0.1.0-py3-none-any.whl"
SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
LICENCE_TEXT = "musicnn-0.1.0.dist-info/LICENSE.md"
CHECKPOINT = "musicnn/{}_musicnn/.data-00000-of-00001"
TIMEOUT_SECONDS = 1800
ANOTHER = "DO NOT MATCH THE HASHES"  # pip's words for a file of another hash
LOOK = "check the index that pip uses (pip config list), and try again"

# TensorFlow's names of the layers' kinds, and our layers of that kind in the order they were made.
CONVOLUTIONS = (
    *(f"timbral.{i}" for i in range(2)),
    *(f"temporal.{i}" for i in range(3)),
    *(f"mid_end.{i}" for i in range(3)),
)
LAYERS = {
    "conv2d": [f"{one}.convolution" for one in CONVOLUTIONS],
    "dense": ["back_end.dense", "back_end.output"],
    "batch_normalization": [
        "normalisation",
        *(f"{one}.normalisation" for one in CONVOLUTIONS),
        "back_end.normalisation",
        "back_end.penultimate_normalisation",
    ],
}
WEIGHTS = {"kernel": "weight", "bias": "bias"}
NORMALISATION = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
POWERS = ("beta1_power", "beta2_power")  # two numbers of the optimiser


def fetch() -> bytes:
    """Download the wheel with pip and the user's configuration.

    Raises `GenreError` if pip cannot fetch it (trying again later may help), `InputError` if it
    found another file.
    """
    with tempfile.TemporaryDirectory(prefix="musicnn-") as name:
        folder = Path(name)
        wanted = folder / "requirements.txt"  # pip compares the hash before it opens the file, too
        wanted.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        try:
            result = subprocess.run(
                [*command, "--dest", name, "--requirement", str(wanted)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _unavailable(f"it took more than {TIMEOUT_SECONDS} s") from error
        if result.returncode:
            said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
            if any(ANOTHER in line for line in said):
                raise InputError(f"pip download {REQUIREMENT}: {'; '.join(said[-2:])}; {LOOK}")
            raise _unavailable(f"it said: {said[-1] if said else f'exit {result.returncode}'}")
        try:
            return (folder / WHEEL).read_bytes()
        except OSError as error:
            raise _unavailable(f"{WHEEL} was not there") from error


def convert(content: bytes, names: Collection[str]) -> dict[str, bytes]:
    """The weights `names` (`msd`, `mtt`) of the wheel `content` as safetensors files' contents.

    Raises `InputError` if `content` is not the published wheel.
    """
    if (found := sha256_of(content)) != SHA256:
        raise InputError(
            f"{WHEEL}: found {len(content)} bytes of sha256 {found}, expected {SHA256}: truncated, "
            f"or not the published file; {LOOK}"
        )
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        about = {
            "format": "pt",
            "source": SOURCE,
            "licence": LICENCE,
            "attribution": ATTRIBUTION,
            "licence_text": wheel.read(LICENCE_TEXT).decode(),
        }
        return {
            name: _safetensors(_arrays(wheel.read(CHECKPOINT.format(name.upper()))), about)
            for name in names
        }


def _arrays(data: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """The arrays of a checkpoint's data file by our names.

    It holds float32 tensors end to end, sorted by TensorFlow's names. Each that was trained is
    followed by its two moments of Adam.
    """
    import torch

    from genre.features.musicnn.network import MusiCNN

    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in MusiCNN().state_dict().items()}
    ours = {
        f"{kind}{f'_{number}' if number else ''}/{theirs}": f"{layer}.{name}"
        for kind, layers in LAYERS.items()
        for number, layer in enumerate(layers)
        for theirs, name in (NORMALISATION if "norm" in kind else WEIGHTS).items()
    }
    values = np.frombuffer(data, "<f4")
    arrays = {}
    place = 0
    for theirs in sorted([*ours, *POWERS]):
        if theirs in POWERS:
            place += 1
            continue
        shape = shapes[ours[theirs]]
        size = prod(shape)
        arrays[ours[theirs]] = _outputs_first(values[place : place + size], shape)
        place += size if "/moving_" in theirs else 3 * size
    return arrays


def _outputs_first(
    values: npt.NDArray[np.float32], shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """A tensor in PyTorch's order of dimensions; TensorFlow has the outputs last."""
    if len(shape) == 1:
        return values
    turned = values.reshape(-1, shape[0]).T
    if len(shape) == 3:  # over time: channels come before frames in PyTorch
        return turned.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1)
    return turned.reshape(shape)


def _safetensors(arrays: dict[str, npt.NDArray[np.float32]], about: dict[str, str]) -> bytes:
    """The content of a safetensors file.

    Not by the library, which writes metadata in any order: the same weights are the same bytes.
    """
    header: dict[str, object] = {"__metadata__": about}
    content = []
    end = 0
    for name, array in sorted(arrays.items()):
        content.append(np.ascontiguousarray(array, dtype="<f4").tobytes())
        start, end = end, end + len(content[-1])
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(content)


def _unavailable(why: str) -> GenreError:
    return GenreError(
        f"MusiCNN's weights could not be fetched: tried pip download {REQUIREMENT}, and {why}. "
        "Check the network and pip's index (pip config list), or give pip a folder with "
        f"{WHEEL} (PIP_FIND_LINKS); or list families without musicnn in features.families"
    )
