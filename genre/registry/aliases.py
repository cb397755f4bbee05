"""Which version is champion, previous and challenger, and how that came about.

The aliases in MLflow are what counts. Every promotion leaves one line in a tag of the registered
model, `promoted/<time>`: `version 3 replaced version 2 (gate): better: …`. If the champion is not
the version that was promoted last, somebody moved the alias with another tool; the next command
that changes aliases records that, and lets `previous` be the champion before.

The order of writes makes a killed change harmless: `previous` first, then `champion`, then the
line. What is missing afterwards is derived from the lines.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from genre.promotion import CHALLENGER, CHAMPION, PREVIOUS
from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PROMOTED = "promoted/"
LINE = re.compile(
    r"(?:version (?P<version>\d+)|no version)(?: replaced version (?P<replaced>\d+))?"
    r" \((?P<by>gate|manual|rollback|outside)(?: by (?P<user>[^)]*))?\): (?P<reason>.*)",
    re.DOTALL,
)
MOVED = "the alias champion was moved with another tool"
REMOVED = "the alias champion, or the version that had it, was removed with another tool"
UNRECORDED = "made champion with another tool, or before changes were recorded"
By = Literal["gate", "manual", "rollback", "outside"]
Aliases = dict[str, str]  # alias to version number


@dataclass(frozen=True)
class Promotion:
    """A change of champion, at `time` (UTC, ISO 8601; None if it is not recorded yet).

    `version` is None if the alias was removed, `replaced` if there was no champion before. `user`
    is the login name of who ran the command or step.
    """

    time: str | None
    version: str | None
    replaced: str | None
    by: By
    user: str
    reason: str


@dataclass(frozen=True)
class Standing:
    """Who is champion; `previous` is the champion before, whoever moved the alias.

    `outside` is a change of champion by another tool that is not recorded yet.
    """

    champion: str | None = None
    previous: str | None = None
    outside: Promotion | None = None


def held(store: Store, name: str) -> Aliases:
    """Alias to version number, as MLflow has it; empty if nothing is registered under `name`."""
    return _model(store, name)[0]


def standing(store: Store, name: str) -> Standing:
    """Who is champion, and who was before."""
    aliases, tags = _model(store, name)
    there = {str(version.version) for version in all_versions(store, name)}
    return derive(aliases, promotions_in(tags), there)


def derive(aliases: Aliases, promotions: Collection[Promotion], there: Collection[str]) -> Standing:
    """The standing, from MLflow's aliases, the recorded promotions and the versions there are."""
    made = list(promotions)
    champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
    outside = _outside(champion, made)
    if outside and made:
        previous = outside.replaced
    if previous is None or previous == champion or previous not in there:
        before = [p.version for p in made if p.version in there and p.version != champion]
        previous = before[-1] if before else None
    return Standing(champion, previous, outside)


def record_outside(store: Store, name: str) -> Standing:
    """Record a change by another tool, if there is one, and return the standing.

    Call with the store's lock held.
    """
    now = standing(store, name)
    if now.outside:
        _set(store, name, PREVIOUS, now.previous)
        _record(store, name, now.outside)
    return now


def make_champion(store: Store, name: str, number: str, *, by: By, reason: str) -> Standing | None:
    """Make the version `number` champion and the champion before it `previous`.

    The alias `challenger` is removed. Returns the standing before; None if the version is champion
    already. Call with the store's lock held.
    """
    before = record_outside(store, name)
    if before.champion == number:
        return None
    _set(store, name, CHALLENGER, None)
    previous = before.champion or before.previous
    _set(store, name, PREVIOUS, None if previous == number else previous)
    _set(store, name, CHAMPION, number)
    _record(store, name, Promotion(None, number, before.champion, by, _user(), reason))
    return before


def make_challenger(store: Store, name: str, number: str) -> None:
    """Make the version `number` challenger, in the place of the one before it."""
    _set(store, name, CHALLENGER, number)


def promotions(store: Store, name: str) -> list[Promotion]:
    """Every change of champion, oldest first, one by another tool that is not recorded included."""
    aliases, tags = _model(store, name)
    made = promotions_in(tags)
    outside = _outside(aliases.get(CHAMPION), made)
    return [*made, outside] if outside else made


def promotions_in(tags: dict[str, str]) -> list[Promotion]:
    """The promotions that the tags of a registered model record, oldest first."""
    found = []
    for key in sorted(key for key in tags if key.startswith(PROMOTED)):
        if match := LINE.fullmatch(tags[key]):
            words: dict[str, Any] = match.groupdict()
            words["user"] = words["user"] or ""
            found.append(Promotion(key.removeprefix(PROMOTED), **words))
    return found


def history(store: Store, name: str) -> list[dict[str, Any]]:
    """The fields of each `Promotion`, oldest first."""
    return [asdict(promotion) for promotion in promotions(store, name)]


def all_versions(store: Store, name: str) -> list[ModelVersion]:
    """MLflow's `ModelVersion` of each version of `name`, newest first."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = store.client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: -int(version.version))


def _outside(champion: str | None, made: Sequence[Promotion]) -> Promotion | None:
    """The change of champion that another tool made since the last recorded one, if any."""
    last = made[-1].version if made else None
    if champion == last:
        return None
    reason = (MOVED if champion else REMOVED) if made else UNRECORDED
    return Promotion(None, champion, last, "outside", "", reason)


def _record(store: Store, name: str, promotion: Promotion) -> None:
    version = f"version {promotion.version}" if promotion.version else "no version"
    replaced = f" replaced version {promotion.replaced}" if promotion.replaced else ""
    by = f"{promotion.by} by {promotion.user}" if promotion.user else promotion.by
    time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = f"{version}{replaced} ({by}): {promotion.reason}"
    store.client.set_registered_model_tag(name, f"{PROMOTED}{time}", line)


def _set(store: Store, name: str, alias: str, number: str | None) -> None:
    """Let `alias` name the version `number`, or none."""
    now = held(store, name).get(alias)
    if number is None and now is not None:
        store.client.delete_registered_model_alias(name, alias)
    elif number is not None and number != now:
        store.client.set_registered_model_alias(name, alias, number)


def _model(store: Store, name: str) -> tuple[Aliases, dict[str, str]]:
    """Aliases and tags of the registered model; empty if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        model = store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}, {}
    return {alias: str(number) for alias, number in model.aliases.items()}, dict(model.tags)


def _user() -> str:
    try:
        return getpass.getuser().translate({ord(sign): None for sign in "()"})
    except (KeyError, OSError):  # a container's user may have no name
        return ""
