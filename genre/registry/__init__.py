"""The MLflow store of the project: what was learned, and which version is looked up by name.

`register` records a finished pipeline and makes a version of its model; `models` lists the
versions; `open_store` opens the store that `params.yaml` names. Aliases: `champion` answers,
`challenger` was no better, `previous` was champion before. MLflow itself is imported on use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genre.params import Params
from genre.registry.facts import Pipeline
from genre.registry.registration import register
from genre.registry.store import Store, locked, named_errors, open_store, quiet, resolve_uri
from genre.registry.versions import move_champion, rows

__all__ = [
    "Pipeline",
    "Store",
    "locked",
    "models",
    "move_champion",
    "named_errors",
    "open_store",
    "quiet",
    "register",
    "resolve_uri",
]


def models(params: Params, root: Path) -> list[dict[str, Any]]:
    """A row for each registered version, newest first; see `genre.registry.versions.rows`.

    Raises `RegistryError` where the store fails.
    """
    store = open_store(params.tracking, root)
    with named_errors(store.uri), quiet():
        return rows(store, params.register_.name)
