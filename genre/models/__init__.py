"""The models, all behind one interface, looked up by name.

`make_model` gives an untrained model with its settings of `params.yaml`, `load_model` a trained
one from its folder. Families are imported when they are asked for: a name costs nothing, and the
multilayer perceptron answers without torch.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from genre.core.errors import InputError, ParameterError

if TYPE_CHECKING:
    from genre.core.params import TrainParams
    from genre.models.base import Model

_FAMILIES = {
    "mlp": "genre.models.mlp:Mlp",
    "report_mlp": "genre.models.mlp:ReportMlp",
    "lda": "genre.models.lda:Lda",
    "logistic": "genre.models.logistic:Logistic",
    "svm": "genre.models.svm:Svm",
    "boosting": "genre.models.boosting:Boosting",
    "cnn": "genre.models.images:Cnn",
    "resnet": "genre.models.images:Resnet",
}
NAMES = tuple(_FAMILIES)


def family(name: str) -> type[Model]:
    """The class behind the name of a model; `ParameterError` with a suggestion where unknown."""
    if name not in _FAMILIES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ParameterError(
            f"train.models: unknown model {name!r}, expected one of {', '.join(NAMES)}{hint}"
        )
    module, _, attribute = _FAMILIES[name].partition(":")
    found: type[Model] = getattr(import_module(module), attribute)
    return found


def make_model(name: str, params: TrainParams) -> Model:
    """An untrained model with the settings of the section `train.<name>`.

    Raises `ParameterError` for an unknown name.
    """
    return family(name).from_params(params)


def load_model(folder: str | Path) -> Model:
    """The trained model that `Model.save` wrote to `folder`; no code of the folder is run.

    Raises `InputError` where the folder does not hold a model, or holds a damaged one.
    """
    from genre.models import serialization

    folder = Path(folder)
    name = serialization.read_description(folder).name
    try:
        model_class = family(name)
    except ParameterError as error:
        raise InputError(
            f"{folder / serialization.DESCRIPTION}: the model {name!r} is not known to this "
            f"version of the software, which knows {', '.join(NAMES)}; train it again or update"
        ) from error
    return model_class.load(folder)
