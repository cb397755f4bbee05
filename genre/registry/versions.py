"""Versions of the registered model, and what the gate decided about them.

The order of writes keeps every alias on a version and every version on its files, whenever a run is
killed: run and logged model first, then the version, then the alias, last the tag `settled`. What
is there already is not made again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from genre.promotion import CHALLENGER, CHAMPION, Decision
from genre.registry import aliases, artifacts, card
from genre.registry.artifacts import FILES, MODEL_ID
from genre.registry.layout import PACKED
from genre.registry.runs import MODEL_HASH
from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

METRICS_HASH = "metrics_sha256"
DECISION, REASON, SETTLED = "decision", "reason", "settled"
BLOCKED_BY = "blocked_by"  # the champion that could not be used when the gate decided
FEWER_THAN = "fewer_than"  # the champion that has more feature families
COMPARISON = "mlflow.genre.comparison"  # the figures behind the decision, as JSON
COMPARISON_BEFORE = "comparison"  # the tag of versions that were registered before it was renamed
TEXTS = ("model", "protocol", "subset", "data_sha256", "git_commit", "git_dirty", REASON)
MODEL_VERSIONS = "mlflow.modelVersions"  # by which the page of a logged model finds its versions
FIGURES = ("accuracy", "accuracy_low", "accuracy_high")


def find(store: Store, name: str, model_sha256: str) -> ModelVersion | None:
    """The version of the model with this hash whose files are as registered.

    Of several (a version may be copied in MLflow), the champion, else the newest.
    """
    champion = aliases.held(store, name).get(CHAMPION)
    found = [
        version
        for version in aliases.all_versions(store, name)
        if artifacts.tags_of(store, version).get(MODEL_HASH) == model_sha256
    ]
    found.sort(key=lambda version: str(version.version) != champion)
    sound = next((version for version in found if not artifacts.damage(store, version)), None)
    return sound and store.client.get_model_version(name, str(sound.version))


def champion(store: Store, name: str) -> ModelVersion | None:
    """The version with the alias `champion`; None if there is none."""
    number = aliases.held(store, name).get(CHAMPION)
    return store.client.get_model_version(name, number) if number else None


def create(
    store: Store, name: str, *, model_id: str, run_id: str, tags: dict[str, str], description: str
) -> ModelVersion:
    """Make a version of the logged model, whose files are all there, with their checksums.

    The registered model is described if it has no description yet.
    """
    from mlflow.exceptions import MlflowException

    try:
        model = store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        model = store.client.get_registered_model(name)
    if not model.description:
        store.client.update_registered_model(name, card.describe_all(name))
    logged = store.client.get_logged_model(model_id)
    version = store.client.create_model_version(
        name,
        logged.artifact_location,
        run_id=run_id,
        tags=tags | {MODEL_ID: model_id, FILES: logged.tags[FILES]},
        description=description,
        model_id=model_id,
    )
    if MODEL_VERSIONS not in store.client.get_logged_model(model_id).tags:  # a server has set it
        link = json.dumps([{"name": name, "version": int(version.version)}])
        store.client.set_logged_model_tags(model_id, {MODEL_VERSIONS: link})
    return version


def is_settled(store: Store, version: ModelVersion) -> bool:
    """Whether the gate has decided about the version, or a person has.

    A person may delete the tags that say so; then one that is or was champion is settled. One that
    a champion blocked that could not be used is not, once there is a champion that can be.
    """
    number = str(version.version)
    if any(number in (p.version, p.replaced) for p in aliases.promotions(store, version.name)):
        return True
    if BLOCKED_BY in version.tags:
        now = champion(store, version.name)
        return now is None or artifacts.damage(store, now, [f"{PACKED}/"]) is not None
    return bool({SETTLED, DECISION} & version.tags.keys())


def settle(store: Store, version: ModelVersion, decision: Decision) -> None:
    """Give the version the alias that the gate decided on, and record the decision."""
    name, number = version.name, str(version.version)
    if decision.alias == CHAMPION:
        aliases.make_champion(store, name, number, by="gate", reason=decision.reason)
    elif decision.alias == CHALLENGER:
        aliases.make_challenger(store, name, number)
    record_decision(store, version, decision)


def record_decision(store: Store, version: ModelVersion, decision: Decision) -> None:
    """Record the decision about the version, so that it is not taken again."""
    tags = {DECISION: decision.alias or "", REASON: decision.reason}
    for tag, other in ((BLOCKED_BY, decision.blocked_by), (FEWER_THAN, decision.fewer_than)):
        if other:
            tags[tag] = other
        elif tag in version.tags:
            store.client.delete_model_version_tag(version.name, str(version.version), tag)
    if decision.comparison is not None:
        figures = {"against": decision.against, **asdict(decision.comparison)}
        tags[COMPARISON] = json.dumps(figures, sort_keys=True)
    tags[SETTLED] = datetime.now(UTC).isoformat(timespec="seconds")
    for key, value in tags.items():
        store.client.set_model_version_tag(version.name, str(version.version), key, value)


def comparison(version: ModelVersion) -> dict[str, Any] | None:
    """The figures behind the gate's decision; None if there are none."""
    try:
        text = version.tags.get(COMPARISON) or version.tags.get(COMPARISON_BEFORE)
        found = json.loads(text or "null")
    except ValueError:  # edited in MLflow's pages
        return None
    return found if isinstance(found, dict) else None


def rows(store: Store, name: str) -> list[dict[str, Any]]:
    """A row for each version of `name`, newest first, for a table.

    `version`, `aliases`, `created` (UTC), `model`, `protocol`, `accuracy` of whole songs with its
    95 % interval `accuracy_low` and `accuracy_high` on `subset`, `data_sha256`, `git_commit`,
    `reason`; None for what a version's tags do not have.
    """
    held: dict[str, list[str]] = {}
    for alias, number in sorted(aliases.held(store, name).items()):
        held.setdefault(number, []).append(alias)
    table = []
    for version in aliases.all_versions(store, name):
        tags = artifacts.tags_of(store, version)
        created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
        row: dict[str, Any] = {
            "version": str(version.version),
            "aliases": held.get(str(version.version), []),
            "created": created.isoformat(timespec="seconds"),
        }
        row |= {key: tags.get(key) for key in TEXTS}
        row |= {key: _number(tags.get(key)) for key in FIGURES}
        table.append(row)
    return table


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # edited in MLflow's pages
        return None
