"""From a model's name to the folder of its classifier: `models:/music-genre@champion`.

The registry is asked anew at each call, through MLflow's client, so that an alias that was moved is
followed. The files of the version that are read are compared with their checksums
(`genre.registry.artifacts`), and what is handed out is a copy of the bytes that were compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from genre.errors import InputError
from genre.files import room_for
from genre.hints import command
from genre.params import TrackingParams
from genre.promotion import CHAMPION
from genre.registry import artifacts
from genre.registry.faults import named_errors, quiet
from genre.registry.layout import MODEL, PACKED, REFERENCE
from genre.registry.store import Store, open_existing

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SCHEME = "models:/"
URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
READ = (f"{PACKED}/{MODEL}/", f"{PACKED}/{REFERENCE}/")  # what predicts, and what drift reads
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's error codes


@dataclass(frozen=True)
class Found:
    """A registered version: a copy of its files in `place`, compared with their checksums.

    Its classifier is in `folder` (see `genre.models.ensemble`).
    """

    name: str
    version: str
    place: Path

    @property
    def folder(self) -> Path:
        """The classifier."""
        return self.place / PACKED / MODEL


@contextmanager
def find(
    uri: str, tracking: TrackingParams, root: Path, *, parts: Sequence[str] = READ
) -> Iterator[Found]:
    """Look up `models:/NAME@ALIAS` or `models:/NAME/VERSION`; the copy is removed afterwards.

    Only the version's files below `parts` are read. Raises `InputError` if there is no such
    version or its files are not those that were registered, `RegistryError` if the store cannot be
    used.
    """
    match = URI.fullmatch(uri)
    if not match:
        raise InputError(
            f"the model {uri!r}: expected {SCHEME}NAME@ALIAS, {SCHEME}NAME/VERSION or the folder "
            "of a classifier"
        )
    name, alias, number = match["name"], match["alias"], match["version"]
    store = open_existing(tracking, root)
    with TemporaryDirectory(prefix="genre-model-") as temporary:
        place = Path(temporary)
        with named_errors(store.uri), quiet():
            version = _version(store, name, alias, number)
            source = artifacts.source_of(store, version)
            files = artifacts.checksums(artifacts.tags_of(store, version))
            with room_for(place):
                wrong = artifacts.bring(store, source, files, parts, place)
        if wrong:
            raise InputError(
                f"version {version.version} of {name}: {wrong}; nothing of it was loaded. "
                + ways_out(source, foreign=wrong == artifacts.FOREIGN)
            )
        yield Found(name, str(version.version), place)


def ways_out(source: str, *, foreign: bool, version: str = "VERSION") -> str:
    """What a person can do about a champion that cannot be used; `version` is another one."""
    others = (
        f"o back to the champion before it: {command('genre rollback')}; or make another version "
        f"champion: {command(f'genre promote {version}')} ({command('genre models')} lists them"
    )
    if foreign:
        return f"G{others})"
    return (
        f"Restore its files in {source} from a backup; or g{others}, and make run registers one "
        "anew)"
    )


def _version(store: Store, name: str, alias: str | None, number: str | None) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        if alias:
            return store.client.get_model_version_by_alias(name, alias)
        return store.client.get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
    listing = command("genre models")
    if alias != CHAMPION:
        what = f"alias {alias}" if alias else f"version {number}"
        raise InputError(f"{name} has no {what}; {listing} lists what is registered")
    if store.client.search_model_versions(f"name = '{name}'", max_results=1):
        raise InputError(
            f"{name} has versions and no champion; {listing} lists them, and "
            f"{command('genre promote VERSION')} makes one champion"
        )
    raise InputError(
        f"there is no champion of {name} yet: make run trains and registers one ({listing} lists "
        "what is registered)"
    )
