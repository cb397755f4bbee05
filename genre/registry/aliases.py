"""Who holds which alias, and how that came about.

A change of aliases is written down before it is made: as a tag of the registered model, and of each
version that it concerns, under a key that holds its time. Keys are never written twice, so that
two processes add to the history without reading it. Until the last alias has moved, the tag
`alias_change_under_way` names the change; whoever changes aliases next finishes what a killed
process began.

`previous` is the champion before today's, so that going back twice leads to where one started.
Whoever was challenger has not been compared with a new champion: that alias ends with each one.
"""

from __future__ import annotations

import getpass
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from genre.promotion import CHALLENGER, CHAMPION, PREVIOUS
from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

OURS = (PREVIOUS, CHAMPION, CHALLENGER)  # other aliases are left alone
CHANGE, UNDER_WAY = "alias_change/", "alias_change_under_way"
Action = Literal["register", "promote", "rollback"]
By = Literal["gate", "hand"]
Held = dict[str, str]  # alias to version number


@dataclass(frozen=True)
class Change:
    """A change of aliases: from `before` to `after`, because of `version`, at `time` (UTC).

    `user` is the name that whoever ran the command or step is logged in by.
    """

    time: str
    action: Action
    version: str
    by: By
    user: str
    reason: str
    before: Held
    after: Held


def held(store: Store, name: str) -> Held:
    """Alias to version number; empty where nothing is registered under `name`."""
    from mlflow.exceptions import MlflowException

    try:
        found = store.client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return {alias: str(number) for alias, number in found.items()}


def make_champion(
    store: Store, name: str, number: str, *, action: Action, by: By, reason: str
) -> Change | None:
    """Make the version `number` champion, and the champion before it `previous`.

    Returns what changed; null where it is champion already.
    """
    now = held(store, name)
    wanted: dict[str, str | None] = {CHAMPION: number, CHALLENGER: None}
    before = now.get(CHAMPION)
    if before is None and now.get(PREVIOUS) == number:
        wanted[PREVIOUS] = None
    elif before is not None and before != number:
        wanted[PREVIOUS] = before
    return _change(store, name, number, wanted, action=action, by=by, reason=reason)


def make_challenger(store: Store, name: str, number: str, *, by: By, reason: str) -> Change | None:
    """Make the version `number` challenger, in place of the one before it."""
    return _change(
        store, name, number, {CHALLENGER: number}, action="register", by=by, reason=reason
    )


def finish(store: Store, name: str) -> None:
    """Finish the change that a killed process began, if there is one; call with the lock held."""
    tags = _tags(store, name)
    key = tags.get(UNDER_WAY)
    if key in tags:
        _carry_out(store, name, _read(tags[key]).after)
    elif key:  # killed before it was written down: nothing has changed
        store.client.delete_registered_model_tag(name, UNDER_WAY)


def history(store: Store, name: str) -> list[dict[str, Any]]:
    """Every change of aliases, oldest first: the fields of `Change`, and whether it is `finished`.

    What was changed with other tools than ours is not in it.
    """
    tags = _tags(store, name)
    keys = sorted(key for key in tags if key.startswith(CHANGE))
    return [asdict(_read(tags[key])) | {"finished": key != tags.get(UNDER_WAY)} for key in keys]


def _change(
    store: Store,
    name: str,
    number: str,
    wanted: dict[str, str | None],
    *,
    action: Action,
    by: By,
    reason: str,
) -> Change | None:
    now = held(store, name)
    before = {alias: now[alias] for alias in OURS if alias in now}
    after = {alias: to for alias, to in (before | wanted).items() if to is not None}
    if after == before:
        return None
    time = datetime.now(UTC)
    text = time.isoformat(timespec="seconds")
    change = Change(text, action, number, by, _user(), reason, before, after)
    key = f"{CHANGE}{time:%Y-%m-%dT%H:%M:%S.%f}-{secrets.token_hex(2)}"
    content = json.dumps(asdict(change), ensure_ascii=False)
    store.client.set_registered_model_tag(name, UNDER_WAY, key)
    for concerned in sorted(_concerned(change)):
        store.client.set_model_version_tag(name, concerned, key, content)
    store.client.set_registered_model_tag(name, key, content)
    _carry_out(store, name, after)
    return change


def _carry_out(store: Store, name: str, after: Held) -> None:
    """Let the aliases be as in `after`; versions that are gone get none."""
    now = held(store, name)
    there = {str(version.version) for version in all_versions(store, name)}
    for alias in OURS:
        to = after.get(alias)
        if to is None and alias in now:
            store.client.delete_registered_model_alias(name, alias)
        elif to is not None and to != now.get(alias) and to in there:
            store.client.set_registered_model_alias(name, alias, to)
    store.client.delete_registered_model_tag(name, UNDER_WAY)


def all_versions(store: Store, name: str) -> list[ModelVersion]:
    """MLflow's `ModelVersion` of each version of `name`, newest first."""
    found = store.client.search_model_versions(f"name = '{name}'")
    return sorted(found, key=lambda version: -int(version.version))


def _concerned(change: Change) -> set[str]:
    """The versions that got or lost an alias."""
    return {number for _, number in change.before.items() ^ change.after.items()}


def _tags(store: Store, name: str) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        return dict(store.client.get_registered_model(name).tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def _read(text: str) -> Change:
    return Change(**json.loads(text))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return ""
