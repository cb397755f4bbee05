"""The aliases champion, previous and challenger in MLflow, and manual promotion.

Aliases may also be set in MLflow directly. A version that becomes champion through this project
gets the tags `promoted_at` (UTC, ISO 8601), `promoted_by` and `reason`, and the champion before it
the alias `previous`. The alias is set after `promoted_by` and before `promoted_at`: that tells a
promotion that was interrupted from an alias that was set in MLflow.
"""

from __future__ import annotations

import getpass
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.core.errors import InputError
from genre.core.messages import command
from genre.core.params import Params
from genre.registry.client import Store, open_store, retry_once
from genre.registry.lookup import NOT_REGISTERED_HERE, verify
from genre.registry.promotion import CHALLENGER, CHAMPION, PREVIOUS, leak
from genre.splits import LEAKY

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PROMOTED_AT, PROMOTED_BY, DECISION, REASON = "promoted_at", "promoted_by", "decision", "reason"
TEXTS = ("model", "protocol", "subset", "data_sha256", "git_commit", "git_dirty", REASON)
FIGURES = ("accuracy", "accuracy_low", "accuracy_high")


def promote(
    params: Params, root: Path, version: str, reason: str | None = None
) -> tuple[str, str | None]:
    """Make `version` (a number, or an alias) the champion.

    The gate is not run. Returns the number of the version and of the champion before, which are
    equal if nothing changed. Raises `InputError` if there is no store or no such version, its files
    are not those that were registered, or its split leaks; `RegistryError` if the store fails.
    """
    store, name = open_store(params.tracking, root, create=False), params.register_.name
    with store.writing():
        found = {str(each.version): each for each in all_versions(store, name)}
        if not found:
            raise InputError(f"no version of {name} is registered yet. Next: make run")
        number = version if version in found else read_aliases(store, name).get(version)
        if number is None:
            raise InputError(
                f"{name} has no version {version!r}: found {', '.join(found)}; "
                f"{command('genre models')} lists them"
            )
        return number, _promote_manually(store, found[number], "manual", reason)


def rollback(params: Params, root: Path, reason: str | None = None) -> tuple[str, str | None]:
    """Make the champion before this one the champion again; this one becomes `previous`.

    Returns and raises as `promote` does; also raises `InputError` if there was no other champion.
    """
    store, name = open_store(params.tracking, root, create=False), params.register_.name
    with store.writing():
        number = _before(store, name)
        if number is None:
            raise InputError(
                f"no other version of {name} was champion, so there is none to roll back to; "
                f"{command('genre promote VERSION')} makes a version champion"
            )
        version = store.client.get_model_version(name, number)
        return number, _promote_manually(store, version, "rollback", reason)


def models(params: Params, root: Path) -> list[dict[str, Any]]:
    """One row per version, newest first.

    `version`, `aliases`, `created` (UTC), `model`, `protocol`, `accuracy` of whole songs with its
    95 % interval `accuracy_low` and `accuracy_high` on `subset`, `data_sha256`, `git_commit`,
    `git_dirty`, `reason`; None if a version does not have the tag. Raises `InputError` if there
    is no store yet, `RegistryError` if it fails.
    """
    store, name = open_store(params.tracking, root, create=False), params.register_.name
    with store.reading():
        aliases = read_aliases(store, name)
        return [
            {
                "version": str(version.version),
                "aliases": aliases_of(version, aliases),
                "created": datetime.fromtimestamp(
                    version.creation_timestamp // 1000, UTC
                ).isoformat(),
                **{key: version.tags.get(key) for key in TEXTS},
                **{key: _number(version.tags.get(key)) for key in FIGURES},
            }
            for version in all_versions(store, name)
        ]


def history(params: Params, root: Path) -> list[dict[str, Any]]:
    """`time`, `version`, `by` and `reason` of each version's last promotion, newest first.

    Raises as `models` does.
    """
    store = open_store(params.tracking, root, create=False)
    with store.reading():
        return [
            {
                "time": version.tags[PROMOTED_AT],
                "version": str(version.version),
                "by": version.tags.get(PROMOTED_BY),
                "reason": version.tags.get(REASON),
            }
            for version in _promoted(store, params.register_.name)
        ]


def read_aliases(store: Store, name: str) -> dict[str, str]:
    """Alias to version number; empty if nothing is registered under `name`."""
    models = store.client.search_registered_models(f"name = '{name}'")
    return {alias: str(v) for model in models for alias, v in model.aliases.items()}


def aliases_of(version: ModelVersion, aliases: dict[str, str]) -> list[str]:
    """The aliases of a version, sorted."""
    return sorted(alias for alias, number in aliases.items() if number == str(version.version))


def champion(store: Store, name: str) -> ModelVersion | None:
    """The version with the alias `champion`; None if there is none."""
    number = read_aliases(store, name).get(CHAMPION)
    return store.client.get_model_version(name, number) if number else None


def all_versions(store: Store, name: str) -> list[ModelVersion]:
    """Every version of `name`, newest first."""
    found = store.client.search_model_versions(f"name = '{name}'")
    return sorted(found, key=lambda version: -int(version.version))


def make_champion(store: Store, version: ModelVersion, *, by: str, reason: str) -> str | None:
    """Make `version` champion, and the champion before it `previous`; return the one before.

    The alias `challenger` is removed. Nothing changes if the version is champion and has its tags.
    The caller must hold the lock of the store.
    """
    name, number = version.name, str(version.version)
    aliases = read_aliases(store, name)
    before = aliases.get(CHAMPION)
    if before == number and {PROMOTED_AT, DECISION} <= version.tags.keys():
        return before
    tag(store, version, {REASON: reason, PROMOTED_BY: by})
    if before != number:
        if CHALLENGER in aliases:
            store.client.delete_registered_model_alias(name, CHALLENGER)
        if before:
            set_alias(store, name, PREVIOUS, before)
        elif aliases.get(PREVIOUS) == number:
            store.client.delete_registered_model_alias(name, PREVIOUS)
        set_alias(store, name, CHAMPION, number)
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    tag(store, version, {PROMOTED_AT: time, DECISION: CHAMPION})
    return before


def set_alias(store: Store, name: str, alias: str, number: str) -> None:
    """Set an alias; another machine may set it at the same time."""
    retry_once(store.client.set_registered_model_alias, name, alias, number)


def tag(store: Store, version: ModelVersion, tags: dict[str, str]) -> None:
    """Set tags of a version, in this order."""
    for key, value in tags.items():
        store.client.set_model_version_tag(version.name, str(version.version), key, value)


def _promote_manually(
    store: Store, version: ModelVersion, by: str, reason: str | None
) -> str | None:
    what = f"version {version.version} of {version.name} cannot become champion"
    protocol = version.tags.get("protocol")
    if protocol in LEAKY:
        raise InputError(f"{what}: {leak(protocol)}")
    if problem := verify(store, version):
        remedy = "Restore them from a backup, or let make run register the model again"
        if problem == NOT_REGISTERED_HERE:
            remedy = "It has no checksums to verify its files with"
        raise InputError(f"{what}: {problem}. {remedy}")
    with suppress(KeyError, OSError):  # a container's user may have no name
        by = f"{by} ({getpass.getuser()})"
    text = " ".join((reason or "").split()) or "no reason given"
    return make_champion(store, version, by=by, reason=text)


def _before(store: Store, name: str) -> str | None:
    """The champion before this one: `previous`, else the version that was promoted last.

    If the alias `champion` was removed, it is the version that was promoted last.
    """
    aliases = read_aliases(store, name)
    now, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
    others = [str(v.version) for v in _promoted(store, name) if str(v.version) != now]
    if previous not in (None, now) and (now or not others):
        return previous
    return others[0] if others else None


def _promoted(store: Store, name: str) -> list[ModelVersion]:
    """The versions that became champion through this project, the latest first."""
    found = [version for version in all_versions(store, name) if PROMOTED_AT in version.tags]
    return sorted(found, key=lambda version: version.tags[PROMOTED_AT], reverse=True)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # edited in MLflow's pages
        return None
