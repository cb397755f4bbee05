"""The MLflow store of the project: what was learned, and which version is looked up by name.

`register` records a finished pipeline and makes a version of its model, which becomes champion if
the gate says so; `promote` and `rollback` are manual; `models` lists the versions, `history` every
change of champion; `open_store` opens the store that `params.yaml` names. Aliases: `champion` is
the version to use, `challenger` did not pass the gate, `previous` was champion before. MLflow
itself is imported on use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre.params import Params
from genre.registry.by_hand import history, promote, rollback
from genre.registry.facts import Pipeline
from genre.registry.faults import named_errors, quiet
from genre.registry.locks import locked
from genre.registry.registration import register
from genre.registry.store import Store, open_existing, open_store, resolve_uri
from genre.registry.versions import rows

__all__ = [
    "Pipeline",
    "Store",
    "history",
    "locked",
    "models",
    "named_errors",
    "open_existing",
    "open_store",
    "promote",
    "quiet",
    "register",
    "resolve_uri",
    "rollback",
]


def models(params: Params, root: Path) -> list[dict[str, Any]]:
    """A row for each registered version, newest first; see `genre.registry.versions.rows`.

    Raises `InputError` if there is no store yet, `RegistryError` if it fails.
    """
    store = open_existing(params.tracking, root)
    with named_errors(store.uri), quiet():
        return rows(store, params.register_.name)
