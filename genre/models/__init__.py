"""The models, all with one interface (`genre.models.base.Model`), by name.

`make_model` makes an untrained model with its settings from `params.yaml`, `load_model` loads a
trained one from its folder. Modules are imported on use, so that the multilayer perceptron predicts
without importing torch.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from pkgutil import resolve_name
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
    """The class of a model; raises `ParameterError` for an unknown name."""
    if name not in _FAMILIES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ParameterError(
            f"train.models: unknown model {name!r}, expected one of {', '.join(NAMES)}{hint}"
        )
    found: type[Model] = resolve_name(_FAMILIES[name])
    return found


def make_model(name: str, params: TrainParams) -> Model:
    """Make an untrained model with the settings in `train.<name>`.

    Raises `ParameterError` for an unknown name.
    """
    return family(name).from_params(params)


def load_model(folder: str | Path) -> Model:
    """Load the trained model that `Model.save` wrote to `folder`; no code in the folder is run.

    Raises `InputError` if there is no model in `folder`, or a damaged one.
    """
    from genre.models import serialization

    folder = Path(folder)
    name = serialization.read_description(folder).name
    try:
        model_class = family(name)
    except ParameterError as error:
        raise InputError(
            f"{folder / serialization.DESCRIPTION}: found the model {name!r}, expected one of "
            f"{', '.join(NAMES)}; train it again, or update this software"
        ) from error
    return model_class.load(folder)
