"""The MLflow store of the project: runs, registered versions, and their aliases.

`register` records a finished pipeline and creates a version of its model, which becomes champion if
it passes the gate; `promote` and `rollback` are manual; `models` lists the versions, `history` when
and why they became champion; `open_store` opens the store that `params.yaml` names. The alias
`champion` is the version to use, `challenger` did not pass the gate, `previous` was champion
before. MLflow itself is imported on use.
"""

from genre.registry.aliases import history, models, promote, rollback
from genre.registry.client import Store, open_store, resolve_uri
from genre.registry.facts import Pipeline
from genre.registry.registration import register

__all__ = [
    "Pipeline",
    "Store",
    "history",
    "models",
    "open_store",
    "promote",
    "register",
    "resolve_uri",
    "rollback",
]
