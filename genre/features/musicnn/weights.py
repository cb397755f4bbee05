"""MusiCNN's published weights as safetensors files: checked and read.

`<name>.safetensors` holds the arrays of `genre.features.musicnn.network.MusiCNN` under its own
names, float32. `genre.features.musicnn.wheel` writes it, always with the same bytes, whose sha256
is below: any other file is refused. Its metadata has the source and the licence of the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genre.core.errors import InputError
from genre.core.files import sha256_of
from genre.core.messages import command

if TYPE_CHECKING:
    from genre.features.musicnn.network import MusiCNN

SOURCE = "the Python package musicnn 0.1.0 (github.com/jordipons/musicnn)"
LICENCE = "ISC"
ATTRIBUTION = (
    "Copyright (c) Music Technology Group, Universitat Pompeu Fabra 2019. Code developed by Jordi "
    "Pons. J. Pons, X. Serra, musicnn: pre-trained convolutional neural networks for music audio "
    "tagging, ISMIR 2019 late-breaking."
)
SHA256 = {  # of our files
    "msd": "207be29f9fb15a01e71b6d5c8687c05737862c7207a70dda233cdda6cc763e87",
    "mtt": "e5a8db107d9b93e90998763e8c4344302c88cdd2e8e641f3ebbf60af084dab10",
}


def file_name(name: str) -> str:
    """The file of the weights `name` (`msd` or `mtt`) in a folder of them."""
    return f"{name}.safetensors"


def read_right(folder: Path, name: str) -> bytes | None:
    """The file of the weights `name` in `folder`; None if it is missing or another."""
    try:
        content = (folder / file_name(name)).read_bytes()
    except OSError:
        return None
    return content if sha256_of(content) == SHA256[name] else None


def load_network(folder: Path, name: str) -> MusiCNN:
    """MusiCNN with the weights `name` from `folder`.

    Raises `InputError` if the file is missing, or has another sha256.
    """
    import torch
    from safetensors.torch import load

    from genre.features.musicnn.network import MusiCNN

    if name not in SHA256:
        raise InputError(f"weights: found {name!r}, expected {' or '.join(SHA256)}")
    path = folder / file_name(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected MusiCNN's weights; fetch them "
            f"({command('dvc repro features')}, with musicnn in features.families)"
        ) from error
    if (found := sha256_of(content)) != SHA256[name]:
        raise InputError(
            f"{path}: found a file of sha256 {found}, expected {SHA256[name]}: damaged, or "
            f"replaced; fetch it again ({command('dvc repro features')})"
        )
    with torch.device("meta"):
        network = MusiCNN()
    network.load_state_dict(load(content), assign=True)
    return network.eval().requires_grad_(False)
