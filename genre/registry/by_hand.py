"""Manual promotion: make a version champion, or go back to the champion before.

The gate is not asked. Refused is what would break or mislead: a version whose files are not those
that were registered, and one whose split leaks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.errors import InputError, RegistryError
from genre.hints import command
from genre.params import Params
from genre.promotion import CHAMPION, PREVIOUS, Decision, leak
from genre.registry import aliases, artifacts, versions
from genre.registry.aliases import By, Standing
from genre.registry.faults import named_errors, quiet
from genre.registry.locks import locked
from genre.registry.store import Store, open_existing
from genre.splits import LEAKY

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

NO_REASON = "no reason given"


def promote(
    params: Params, root: Path, version: str, reason: str | None = None
) -> tuple[str, Standing | None]:
    """Make `version` (a number, or an alias) the champion.

    Returns its number and the standing before; None in the place of that if it is champion
    already. Raises `InputError` if there is no store or no such version, its files are not those
    that were registered, or its split leaks; `RegistryError` if the store fails.
    """
    store = open_existing(params.tracking, root)
    name = params.register_.name
    with named_errors(store.uri), quiet():
        _find(store, name, version)
        with locked(store.folder):
            found = _find(store, name, version)
            return str(found.version), _make_champion(store, found, "manual", reason)


def rollback(params: Params, root: Path, reason: str | None = None) -> tuple[str, Standing]:
    """Make the champion before this one the champion again; this one becomes `previous`.

    Raises as `promote` does, and `InputError` if there was no other champion before.
    """
    store = open_existing(params.tracking, root)
    name = params.register_.name
    with named_errors(store.uri), quiet():
        _previous(store, name)
        with locked(store.folder):
            version = _previous(store, name)
            before = _make_champion(store, version, "rollback", reason)
    if before is None:  # impossible under our lock, but a server has other machines
        raise RegistryError(
            f"tracking.uri {store.uri}: the champion of {name} was moved by somebody else just "
            f"now; see {command('genre models')}"
        )
    return str(version.version), before


def history(params: Params, root: Path) -> list[dict[str, Any]]:
    """Every change of champion, oldest first; see `genre.registry.aliases.history`."""
    store = open_existing(params.tracking, root)
    with named_errors(store.uri), quiet():
        return aliases.history(store, params.register_.name)


def _make_champion(
    store: Store, version: ModelVersion, by: By, reason: str | None
) -> Standing | None:
    number = str(version.version)
    what = f"version {number} of {version.name} cannot become champion"
    protocol = artifacts.tags_of(store, version).get("protocol")
    if protocol in LEAKY:
        raise InputError(f"{what}: {leak(protocol)}")
    if wrong := artifacts.damage(store, version):
        if wrong == artifacts.FOREIGN:
            raise InputError(f"{what}: {wrong}, so nothing tells what its files should be")
        raise InputError(
            f"{what}: {wrong}. Restore them from a backup, or let make run register the model again"
        )
    text = " ".join((reason or "").split()) or NO_REASON
    settled = versions.is_settled(store, version)
    before = aliases.make_champion(store, version.name, number, by=by, reason=text)
    if not settled:  # its registration was killed before the gate decided
        versions.record_decision(store, version, Decision(CHAMPION, f"promoted manually: {text}"))
    return before


def _find(store: Store, name: str, version: str) -> ModelVersion:
    found = {str(each.version): each for each in aliases.all_versions(store, name)}
    if not found:
        raise InputError(f"no version of {name} is registered yet. Next: make run")
    number = aliases.held(store, name).get(version, version)
    if version == PREVIOUS and number not in found:
        number = aliases.standing(store, name).previous or version
    if number not in found:
        raise InputError(
            f"{name} has no version {version!r}: found {', '.join(found)}; "
            f"{command('genre models')} lists them"
        )
    return found[number]


def _previous(store: Store, name: str) -> ModelVersion:
    now = aliases.standing(store, name)
    if now.previous is not None:
        return _find(store, name, now.previous)
    promote_one = command("genre promote VERSION")
    if now.champion is None:
        raise InputError(
            f"{name} has no champion and none before: there is none to go back to; {promote_one} "
            "makes a version champion"
        )
    raise InputError(
        f"version {now.champion} is the only champion of {name} so far: there is none to go back "
        f"to; {promote_one} makes another version champion"
    )
