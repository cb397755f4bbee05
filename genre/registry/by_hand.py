"""Promote a version, or go back to the one before, because a person says so.

What the gate weighs is not asked here; what would break or mislead is refused: a version whose
files are not all there, and one whose split leaked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.errors import InputError, RegistryError
from genre.params import Params
from genre.promotion import CHAMPION, PREVIOUS, Decision, leak
from genre.registry import aliases, artifacts, versions
from genre.registry.aliases import Action, Change
from genre.registry.faults import named_errors, quiet
from genre.registry.store import Store, locked, open_existing
from genre.splits import LEAKY

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

UNSAID = "no reason given"


def promote(params: Params, root: Path, version: str, reason: str | None = None) -> Change | None:
    """Make `version` (a number, or an alias that one holds) the champion.

    Returns what changed, null where it is champion already. Raises `InputError` where there is no
    store, no such version, its files are not all there or its split leaked; `RegistryError` where
    the store fails.
    """
    store = open_existing(params.tracking, root)
    name = params.register_.name
    with named_errors(store.uri), quiet():
        _find(store, name, version)
        with locked(store.folder):
            aliases.finish(store, name)
            return _make_champion(store, _find(store, name, version), "promote", reason)


def rollback(params: Params, root: Path, reason: str | None = None) -> Change:
    """Make the version that was champion before the champion again, and today's `previous`.

    Raises as `promote` does, and `InputError` where there was no other champion before.
    """
    store = open_existing(params.tracking, root)
    name = params.register_.name
    with named_errors(store.uri), quiet():
        _previous(store, name)
        with locked(store.folder):
            aliases.finish(store, name)
            change = _make_champion(store, _previous(store, name), "rollback", reason)
    if change is None:  # nobody can under our lock, but a server has other machines
        raise RegistryError(
            f"tracking.uri {store.uri}: the champion of {name} was moved by somebody else just "
            "now; look again: genre models"
        )
    return change


def history(params: Params, root: Path) -> list[dict[str, Any]]:
    """Every change of aliases, oldest first; see `genre.registry.aliases.history`."""
    store = open_existing(params.tracking, root)
    with named_errors(store.uri), quiet():
        return aliases.history(store, params.register_.name)


def _make_champion(
    store: Store, version: ModelVersion, action: Action, reason: str | None
) -> Change | None:
    number = str(version.version)
    what = f"version {number} of {version.name} cannot become champion"
    protocol = version.tags.get("protocol")
    if protocol in LEAKY:
        raise InputError(f"{what}: {leak(protocol)}")
    if lost := artifacts.loss(store, version):
        raise InputError(
            f"{what}: {lost}. Restore them, or register it again: "
            "dvc repro --force --single-item register"
        )
    words = " ".join((reason or "").split()) or UNSAID
    change = aliases.make_champion(
        store, version.name, number, action=action, by="hand", reason=words
    )
    if versions.SETTLED not in version.tags:  # its registration was killed before it was judged
        versions.note(store, version, Decision(CHAMPION, f"promoted by hand: {words}"))
    return change


def _find(store: Store, name: str, version: str) -> ModelVersion:
    found = {str(each.version): each for each in aliases.all_versions(store, name)}
    if not found:
        raise InputError(f"no version of {name} is registered yet. Next: make run")
    number = aliases.held(store, name).get(version, version)
    if number not in found:
        raise InputError(
            f"{name} has no version {version!r}: found {', '.join(found)}; genre models lists them"
        )
    return found[number]


def _previous(store: Store, name: str) -> ModelVersion:
    now = aliases.held(store, name)
    if PREVIOUS not in now:
        if CHAMPION not in now:
            raise InputError(f"{name} has no champion yet, so there is none to go back to")
        raise InputError(
            f"version {now[CHAMPION]} is the only champion that {name} has had: there is none to "
            "go back to; genre promote VERSION makes another one champion"
        )
    if now[PREVIOUS] == now.get(CHAMPION):
        raise InputError(
            f"{name}: version {now[PREVIOUS]} holds both champion and previous, so there is none "
            "to go back to; genre models --history tells who was champion before"
        )
    return _find(store, name, PREVIOUS)
