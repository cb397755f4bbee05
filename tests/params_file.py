"""Change parameters: single values of a `params.yaml`, and the feature families."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from genre.core.params import Params


def change_params(root: Path, changes: Mapping[str, Any], *, start: Path | None = None) -> None:
    """Set values by names such as `train.mlp.max_epochs` in `params.yaml` of the project at `root`.

    The other values are those that are there, or those of the project at `start`.
    """
    content = yaml.safe_load(((start or root) / "params.yaml").read_text())
    for name, value in changes.items():
        *sections, key = name.split(".")
        functools.reduce(operator.getitem, sections, content)[key] = value
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def with_families(params: Params, *families: str, **sections: Any) -> Params:
    """`params` with `features.families`, and with other `sections` in the place of its own."""
    features = params.features.model_copy(update={"families": list(families)})
    return params.model_copy(update={"features": features, **sections})
