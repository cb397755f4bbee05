"""Versions of the registered model, and what was decided about them.

The order of writes keeps every alias on a version and every version on its artifacts, whenever a
run is killed: record and model first, then the version, then the alias, last the tag `settled`.
Whatever is found done is not done again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genre.promotion import CHALLENGER, CHAMPION, Alias, Decision
from genre.registry import aliases, artifacts
from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL_HASH, METRICS_HASH = "model_sha256", "metrics_sha256"
DECISION, REASON, SETTLED = "decision", "reason", "settled"
COMPARISON = "comparison"  # the figures behind the decision, as JSON
TEXTS = ("model", "protocol", "subset", "data_sha256", "git_commit", "git_dirty", REASON)
FIGURES = ("accuracy", "accuracy_low", "accuracy_high")


def find(store: Store, name: str, tags: dict[str, str]) -> ModelVersion | None:
    """The version whose model has the hash in `tags`."""
    text = f"name = '{name}' AND tags.{MODEL_HASH} = '{tags[MODEL_HASH]}'"
    found = store.client.search_model_versions(text)
    return max(found, key=lambda version: int(version.version), default=None)


def holder(store: Store, name: str, alias: str) -> ModelVersion | None:
    """The version that holds `alias`; null where none does."""
    number = aliases.held(store, name).get(alias)
    return store.client.get_model_version(name, number) if number else None


def create(
    store: Store, name: str, *, model_id: str, run_id: str, tags: dict[str, str]
) -> ModelVersion:
    """Make a version of the logged model, whose artifacts are all there, and which notes them."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    logged = store.client.get_logged_model(model_id)
    return store.client.create_model_version(
        name,
        logged.artifact_location,
        run_id=run_id,
        tags=tags | {artifacts.FILES: logged.tags[artifacts.FILES]},
        model_id=model_id,
    )


def settle(store: Store, version: ModelVersion, decision: Decision) -> None:
    """Give the version the alias that the gate decided on, and write down the decision."""
    name, number = version.name, str(version.version)
    if decision.alias == CHAMPION:
        aliases.make_champion(
            store, name, number, action="register", by="gate", reason=decision.reason
        )
    elif decision.alias == CHALLENGER:
        aliases.make_challenger(store, name, number, by="gate", reason=decision.reason)
    note(store, version, decision)


def note(store: Store, version: ModelVersion, decision: Decision) -> None:
    """Write down what was decided about the version; it will not be judged again."""
    tag = store.client.set_model_version_tag
    tag(version.name, version.version, DECISION, decision.alias or "")
    tag(version.name, version.version, REASON, decision.reason)
    if decision.comparison is not None:
        figures = {"against": decision.against, **asdict(decision.comparison)}
        tag(version.name, version.version, COMPARISON, json.dumps(figures, sort_keys=True))
    tag(version.name, version.version, SETTLED, datetime.now(UTC).isoformat(timespec="seconds"))


def given_alias(version: ModelVersion) -> Alias | None:
    """The alias that the version was given when it was registered."""
    given = version.tags[DECISION]
    return CHAMPION if given == CHAMPION else CHALLENGER if given == CHALLENGER else None


def rows(store: Store, name: str) -> list[dict[str, Any]]:
    """A row for each version of `name`, newest first, for a table.

    `version`, `aliases`, `created` (UTC), `model`, `protocol`, `accuracy` of whole songs with its
    95 % interval `accuracy_low` and `accuracy_high` on `subset`, `data_sha256`, `git_commit`,
    `reason`; null where a version does not say.
    """
    held: dict[str, list[str]] = {}
    for alias, number in sorted(aliases.held(store, name).items()):
        held.setdefault(number, []).append(alias)
    table = []
    for version in aliases.all_versions(store, name):
        created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
        row: dict[str, Any] = {
            "version": str(version.version),
            "aliases": held.get(str(version.version), []),
            "created": created.isoformat(timespec="seconds"),
        }
        row |= {key: version.tags.get(key) for key in TEXTS}
        row |= {key: _number(version.tags.get(key)) for key in FIGURES}
        table.append(row)
    return table


def _number(text: str | None) -> float | None:
    return None if text is None else float(json.loads(text))
