"""Look up a registered model, for example `models:/music-genre@champion`, and verify its files.

Aliases are resolved at each call. Size and SHA-256 of each file of a version that this project
loads (classifier, training songs, drift reference) are in a tag of the version: in the registry and
not among the files, so that write access to the files is not enough to change both. What is loaded
is a copy of the bytes that were verified. Other files in the folder are ignored; MLflow adds some
when it loads a model.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from genre.core.errors import InputError
from genre.core.files import disk_space_guard, sha256_of
from genre.core.messages import command
from genre.core.params import TrackingParams
from genre.registry.client import ARTIFACTS, Store, open_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")
PACKED = "artifacts"  # MLflow's subfolder for the artifacts of a pyfunc model; it contains
MODEL = "model"  # the classifier (see `genre.models.ensemble`),
REFERENCE = "reference"  # the drift reference,
TRAINING_SONGS = "training_songs.json"  # and `genre.registry.facts.training_songs`
FILES = "mlflow.genre.files"  # the tag of the checksums: {path: [bytes, sha256]}
FILES_BEFORE = "files"  # its name in older versions
GONE = "its files are gone"
NOT_REGISTERED_HERE = "it was not registered by this pipeline"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's error codes


@dataclass(frozen=True)
class VerifiedVersion:
    """A registered version, with a verified copy of its files in the folder `copy`."""

    name: str
    version: str
    copy: Path

    @property
    def folder(self) -> Path:
        """The classifier (see `genre.models.ensemble`)."""
        return self.copy / PACKED / MODEL


@contextmanager
def find(uri: str, tracking: TrackingParams, root: Path) -> Iterator[VerifiedVersion]:
    """Look up `models:/NAME@ALIAS` or `models:/NAME/VERSION`; the copy is removed afterwards.

    Raises `InputError` if there is no such version or its files are not those that were registered,
    `RegistryError` if the store cannot be used.
    """
    match = URI.fullmatch(uri)
    if not match:
        raise InputError(
            f"the model {uri!r}: expected models:/NAME@ALIAS, models:/NAME/VERSION or the folder "
            "of a classifier"
        )
    store = open_store(tracking, root, create=False)
    with TemporaryDirectory(prefix="genre-model-") as temporary:
        copy = Path(temporary)
        with store.reading(), disk_space_guard(copy):
            version = _version(store, **match.groupdict())
            if problem := verify(store, version, copy):
                raise InputError(
                    f"version {version.version} of {version.name}: {problem}; nothing of it was "
                    f"loaded. {remedies(store, version, problem)}"
                )
        yield VerifiedVersion(version.name, str(version.version), copy)


def checksums(folder: Path) -> str:
    """The text of the tag `FILES` for the model that was saved in `folder`."""
    files = {}
    for path in sorted((folder / PACKED).rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            digest = sha256_of(content)
            files[path.relative_to(folder).as_posix()] = (len(content), digest)
    return json.dumps(files)


def verify(store: Store, version: ModelVersion, target: Path | None = None) -> str | None:
    """The problem with the files of a version, for a message; None if there is none.

    If `target` is given, the verified files are copied to that folder.
    """
    tag = version.tags.get(FILES) or version.tags.get(FILES_BEFORE)
    return verify_at(store, source_of(store, version), tag, target)


def verify_at(store: Store, source: str, tag: str | None, target: Path | None = None) -> str | None:
    """As `verify`, for the files at the address `source` and the text of the tag `FILES`."""
    try:
        files = {
            path: (int(size), str(digest))
            for path, (size, digest) in json.loads(tag or "{}").items()
            if path.startswith(f"{PACKED}/") and ".." not in path
        }
    except (AttributeError, TypeError, ValueError):
        files = {}
    if not files:
        return NOT_REGISTERED_HERE
    if folder := _local(store, source):
        return _compare(folder, files, target)
    from mlflow.artifacts import download_artifacts, list_artifacts

    address = f"{source.rstrip('/')}/{PACKED}"
    if not list_artifacts(artifact_uri=address, tracking_uri=store.uri):
        return GONE
    with TemporaryDirectory(prefix="genre-download-") as name:
        download_artifacts(address, dst_path=name, tracking_uri=store.uri)
        return _compare(Path(name), files, target)


def source_of(store: Store, version: ModelVersion) -> str:
    """The address of the files of a version."""
    return str(store.client.get_model_version_download_uri(version.name, str(version.version)))


def remedies(store: Store, version: ModelVersion, problem: str, other: str = "VERSION") -> str:
    """The remedies for a version with this problem; `other` is another version to promote."""
    others = (
        f"{command('genre rollback')} rolls back to the champion before it, "
        f"{command(f'genre promote {other}')} makes another version champion "
        f"({command('genre models')} lists them)"
    )
    if problem == NOT_REGISTERED_HERE:
        return others
    return (
        f"Restore its files in {source_of(store, version)} from a backup; or {others}; or make run "
        "registers a new version"
    )


def _local(store: Store, source: str) -> Path | None:
    """The folder on this machine at the address `source`; None if it is elsewhere.

    MLflow stores absolute paths; if the project was moved, it is the folder beside the database.
    """
    address = urlsplit(source)
    if address.scheme not in ("", "file"):
        return None
    path = Path(url2pathname(address.path))
    _, found, tail = path.as_posix().rpartition(f"/{ARTIFACTS}/models/")
    beside = store.folder / ARTIFACTS / "models" / tail
    return beside if found and beside.is_dir() else path


def _compare(folder: Path, files: dict[str, tuple[int, str]], target: Path | None) -> str | None:
    """Compare the files in `folder` with their checksums; copy them to `target` if given."""
    if not folder.is_dir():
        return GONE
    problems = []
    for path, (size, digest) in sorted(files.items()):
        try:
            content = _read(folder / path, size)
        except FileNotFoundError:
            problems.append(f"{path} is gone")
        except OSError as error:
            problems.append(f"{path} cannot be read ({error.strerror})")
        else:
            if sha256_of(content) != digest:
                problems.append(path)
            elif target:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_bytes(content)
    if not problems:
        return None
    others = f", and {len(problems) - 1} more" if problems[1:] else ""
    return f"its files are not those that were registered ({problems[0]}{others})"


def _read(path: Path, size: int) -> bytes:
    """The content of the file `path`; empty if it is not a file or has another size.

    Raises `OSError` for a link.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size != size:
            return b""
        return file.read(size)


def _version(store: Store, name: str, alias: str | None, version: str | None) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        if alias:
            return store.client.get_model_version_by_alias(name, alias)
        return store.client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
    what = f"alias {alias}" if alias else f"version {version}"
    raise InputError(
        f"{name} has no {what}: {command('genre models')} lists its versions, make run registers "
        f"one, and {command('genre promote VERSION')} makes one champion"
    )
