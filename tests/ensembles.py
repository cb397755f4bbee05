"""Small classifiers, made without a pipeline: every input has an effect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from params_file import with_families

from genre.core.params import load_params
from genre.features.report import NAMES
from genre.models.base import Model
from genre.models.ensemble import Ensemble
from genre.models.mlp import Mlp
from genre.soft_voting import SoftVoting

CHECKOUT = Path(__file__).parent.parent
GENRES = ("blues", "jazz", "rock")
SECTIONS = {"features_3s": "features", "spectrogram": "spectrograms", "log_mel": "log_mel"}


def mlp(genres: tuple[str, ...] = GENRES) -> Mlp:
    """A multilayer perceptron of random weights on all features."""
    random = np.random.default_rng(0)
    settings = load_params(CHECKOUT / "params.yaml").train.mlp.model_copy(update={"hidden": [8]})
    model = Mlp(settings)
    model.classes, model.features = genres, NAMES
    model.mean, model.scale = np.zeros(len(NAMES)), np.full(len(NAMES), 10_000.0)
    shapes = [(8, len(NAMES)), (len(genres), 8)]
    model.weights = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    model.biases = [np.zeros(rows, np.float32) for rows, _ in shapes]
    return model


def network(name: str, genres: tuple[str, ...] = GENRES) -> Model:
    """An untrained network on pictures: cnn or resnet."""
    import torch

    from genre.models import make_model

    model = make_model(name, load_params(CHECKOUT / "params.yaml").train)
    model.classes = genres
    torch.manual_seed(0)
    model.network = model.new_network().eval()  # type: ignore[attr-defined]
    standardise = model.network.get_submodule("standardise")  # type: ignore[attr-defined]
    for value in (standardise.mean, standardise.scale):
        value.fill_(60.0)
    return model


def ensemble(*members: Model, temperature: float = 1.5, protocol: str = "song") -> Ensemble:
    """`members` with equal weights, with the settings of `params.yaml`."""
    params = with_families(load_params(CHECKOUT / "params.yaml"), "report")
    sections = {SECTIONS[member.input] for member in members}
    preprocessing = {name: getattr(params, name).model_dump(mode="json") for name in sections}
    preprocessing.get("features", {}).pop("csv", None)
    share = 1 / len(members)
    return Ensemble(
        "vote" if len(members) > 1 else members[0].name,
        members,
        SoftVoting((1.2,) * len(members), (share,) * len(members)),
        temperature=temperature,
        protocol=protocol,
        preprocessing=preprocessing,
    )
