"""Change single numbers of a `params.yaml`."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def change_params(root: Path, changes: Mapping[str, Any], *, start: Path | None = None) -> None:
    """Set values by names such as `train.mlp.max_epochs` in `params.yaml` of the project at `root`.

    The other values are those that are there, or those of the project at `start`.
    """
    content = yaml.safe_load(((start or root) / "params.yaml").read_text())
    for name, value in changes.items():
        *sections, key = name.split(".")
        functools.reduce(operator.getitem, sections, content)[key] = value
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
