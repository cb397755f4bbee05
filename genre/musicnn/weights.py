"""MusiCNN's published weights as safetensors files: converted, checked, read.

`<name>.safetensors` holds the arrays of `genre.models.musicnn.MusiCNN` under its own names,
float32. The same checkpoint gives the same bytes, whose sha256 stands here: a file that is not
what it was made as is refused. Its metadata says where the weights come from and under which
licence they may be passed on.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre.errors import InputError
from genre.hints import command
from genre.musicnn.checkpoint import Weights, read_checkpoint

if TYPE_CHECKING:
    from genre.models.musicnn import MusiCNN

SOURCE = "the Python package musicnn 0.1.0 (github.com/jordipons/musicnn)"
LICENCE = "ISC"
ATTRIBUTION = (
    "Copyright (c) Music Technology Group, Universitat Pompeu Fabra 2019. Code developed by Jordi "
    "Pons. J. Pons, X. Serra, musicnn: pre-trained convolutional neural networks for music audio "
    "tagging, ISMIR 2019 late-breaking."
)
NORMALISATION = {  # ours, and TensorFlow's
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


@dataclass(frozen=True)
class WeightSet:
    """One set of published weights: its folder in the wheel, and our file's sha256."""

    folder: str
    sha256: str


SETS = {
    "msd": WeightSet(
        "MSD_musicnn", "207be29f9fb15a01e71b6d5c8687c05737862c7207a70dda233cdda6cc763e87"
    ),
    "mtt": WeightSet(
        "MTT_musicnn", "e5a8db107d9b93e90998763e8c4344302c88cdd2e8e641f3ebbf60af084dab10"
    ),
}


def file_name(name: str) -> str:
    """The file of the weights `name` (`msd` or `mtt`) in a folder of them."""
    return f"{name}.safetensors"


def convert(name: str, index: bytes, data: bytes, licence: str, source: str) -> bytes:
    """The published checkpoint of the weights `name` as the content of a safetensors file.

    `index` and `data` are the checkpoint's two files, `licence` the text it came with, `source`
    the file that messages name. Raises `InputError` where the checkpoint is another.
    """
    names = _names()
    tensors = read_checkpoint(index, data, list(names.values()), source)
    arrays = {}
    for ours, theirs in names.items():
        try:
            arrays[ours] = _laid_out(ours, tensors[theirs])
        except ValueError as error:
            raise InputError(
                f"{source}: found {theirs} of shape {tensors[theirs].shape}, expected another "
                "number of dimensions: not a checkpoint of MusiCNN"
            ) from error
    about = {
        "format": "pt",
        "source": SOURCE,
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "licence_text": licence,
    }
    content = _safetensors(arrays, about)
    if (found := hashlib.sha256(content).hexdigest()) != SETS[name].sha256:
        raise InputError(
            f"{source}: found weights that make a file of sha256 {found}, expected "
            f"{SETS[name].sha256}: not the published ones of {name}"
        )
    return content


def read_right(folder: Path, name: str) -> bytes | None:
    """The file of the weights `name` in `folder`; None where it is missing or another."""
    try:
        content = (folder / file_name(name)).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == SETS[name].sha256 else None


def load_network(folder: Path, name: str) -> MusiCNN:
    """MusiCNN with the weights `name` from `folder`.

    Raises `InputError` where the file is not there, or is not what was converted.
    """
    import torch
    from safetensors.torch import load

    from genre.models.musicnn import MusiCNN

    if name not in SETS:
        raise InputError(f"weights: found {name!r}, expected {' or '.join(SETS)}")
    path = folder / file_name(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected MusiCNN's weights; fetch them "
            f"({command('dvc repro pretrained')}, with musicnn in features.families)"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SETS[name].sha256:
        raise InputError(
            f"{path}: found a file of sha256 {found}, expected {SETS[name].sha256}: damaged, or "
            f"replaced; {_again()}"
        )
    with torch.device("meta"):
        network = MusiCNN()
    network.load_state_dict(load(content), assign=True)
    return network.eval().requires_grad_(False)


def _names() -> dict[str, str]:
    """TensorFlow's name of each array, by ours."""
    names: dict[str, str] = {}

    def normalisation(ours: str, number: int) -> None:
        theirs = f"batch_normalization{_numbered(number)}"
        names.update({f"{ours}.{mine}": f"{theirs}/{its}" for mine, its in NORMALISATION.items()})

    def layer(ours: str, theirs: str) -> None:
        names.update({f"{ours}.weight": f"{theirs}/kernel", f"{ours}.bias": f"{theirs}/bias"})

    normalisation("normalisation", 0)
    convolutions = [*(f"timbral.{i}" for i in range(2)), *(f"temporal.{i}" for i in range(3))]
    convolutions += [f"mid_end.{i}" for i in range(3)]
    for number, ours in enumerate(convolutions):
        layer(f"{ours}.convolution", f"conv2d{_numbered(number)}")
        normalisation(f"{ours}.normalisation", number + 1)
    normalisation("back_end.normalisation", 9)
    layer("back_end.dense", "dense")
    normalisation("back_end.penultimate_normalisation", 10)
    layer("back_end.output", "dense_1")
    return names


def _numbered(number: int) -> str:
    return f"_{number}" if number else ""


def _laid_out(ours: str, tensor: Weights) -> Weights:
    """A tensor in PyTorch's order of dimensions; TensorFlow has the outputs last."""
    if not ours.endswith(".weight") or "normalisation" in ours:
        return tensor
    if ours.startswith("mid_end"):  # [frames, channels, 1, filters]: no picture, a sequence
        return tensor.squeeze(2).transpose(2, 1, 0)
    if ours.startswith("back_end"):
        return tensor.transpose(1, 0)
    return tensor.transpose(3, 2, 0, 1)


def _safetensors(arrays: dict[str, Weights], about: dict[str, str]) -> bytes:
    """The content of a safetensors file.

    Not by the library, which writes metadata in any order: the file's sha256 must be foreseeable.
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


def _again() -> str:
    return f"fetch it again ({command('dvc repro pretrained')})"
