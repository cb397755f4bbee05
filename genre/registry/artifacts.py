"""The files of a registered version, compared with their checksums in the registry.

When a version is registered, the path, size and SHA-256 of each of its files are kept in a tag of
the logged model and of the version: in the registry and not among the files, so that whoever can
change these alone cannot change what they are compared with. MLflow's page of a version does not
show tags that begin with `mlflow.`. Only files that have a
checksum are compared, copied or read. Whatever else lies beside them is ignored: MLflow writes
into a model's folder when it is looked up.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from genre.registry.store import Store

FILES, MODEL_ID = "mlflow.genre.files", "model_id"  # tags
FILES_BEFORE = "files"  # the tag of versions that were registered before it was renamed
NEEDED = {MODEL_ID, "model_sha256", "protocol"}
GONE = "its files are gone"
FOREIGN = "it was not registered by this pipeline"
FOLDER = "artifacts"  # of a SQLite store, beside its database
LOGGED_MODEL = re.compile(r"/models/(?P<id>m-[^/]+)/artifacts/?$")  # MLflow's layout
ALL = ("",)  # parts of a version: everything
BLOCK = 1 << 20


class File(NamedTuple):
    """The checksum of a file."""

    size: int
    sha256: str


Files = dict[str, File]


def as_tag(files: Mapping[str, File]) -> str:
    """The text of the tag `FILES`."""
    return json.dumps({path: list(files[path]) for path in sorted(files)})


def from_tag(text: str | None) -> Files | None:
    """The checksums in the text of a tag; None if there are none."""
    try:
        found = json.loads(text or "null")
        return {str(path): File(int(size), str(sha256)) for path, (size, sha256) in found.items()}
    except (AttributeError, TypeError, ValueError):
        return None


def checksums(tags: Mapping[str, str]) -> Files | None:
    """The checksums in the tags of a version or logged model; None if there are none."""
    return from_tag(tags.get(FILES)) or from_tag(tags.get(FILES_BEFORE))


def of_folder(folder: Path) -> Files:
    """The checksums of every file below `folder`."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): _copied(path, None, None) for path in paths}


def tags_of(store: Store, version: ModelVersion) -> dict[str, str]:
    """The tags of a version, with those of its logged model in the place of missing ones.

    Both get the same tags when they are made; a person may delete some in MLflow's pages.
    """
    from mlflow.exceptions import MlflowException

    if version.tags.keys() >= NEEDED and checksums(version.tags):
        return dict(version.tags)
    match = LOGGED_MODEL.search(source_of(store, version))
    model_id = version.tags.get(MODEL_ID) or (match and match["id"])
    if not model_id:
        return dict(version.tags)
    try:
        logged = store.client.get_logged_model(model_id)
    except MlflowException:
        return dict(version.tags)
    found = {**logged.tags, MODEL_ID: model_id, **version.tags}
    if not checksums(found):
        found |= {key: logged.tags.get(key, "") for key in (FILES, FILES_BEFORE)}
    return found


def source_of(store: Store, version: ModelVersion) -> str:
    """Where the files of a version are."""
    return str(store.client.get_model_version_download_uri(version.name, str(version.version)))


def local(store: Store, source: str) -> Path | None:
    """The folder on this machine behind the address `source`; None if it is elsewhere.

    MLflow keeps absolute paths. In a project that was moved or copied, the folder beside the
    database is meant.
    """
    address = urlsplit(source)
    if address.scheme not in ("", "file"):
        return None
    path = Path(url2pathname(address.path))
    _, found, tail = path.as_posix().rpartition(f"/{FOLDER}/models/")
    moved = store.folder / FOLDER / "models" / tail
    return moved if found and moved.is_dir() else path


def damage(store: Store, version: ModelVersion, parts: Sequence[str] = ALL) -> str | None:
    """What is wrong with a version's files below `parts`; None if all are as registered.

    Of files on a server, only names and sizes are compared.
    """
    files = checksums(tags_of(store, version))
    if files is not None:
        files = below(files, parts)
    return damage_at(store, source_of(store, version), files)


def damage_at(store: Store, source: str, files: Files | None) -> str | None:
    """As `damage`, of the files at the address `source`."""
    if files is None:
        return FOREIGN
    if folder := local(store, source):
        return copy(folder, files, None)
    sizes = _sizes(store, source, files)
    if not sizes:
        return GONE
    return _as_message([path for path in sorted(files) if sizes.get(path) != files[path].size])


def bring(
    store: Store, source: str, files: Files | None, parts: Sequence[str], target: Path
) -> str | None:
    """Copy the files below `parts` from the address `source` to the folder `target`.

    Returns what is wrong with the files, for a message; None if all are as registered. What was
    copied is what was compared.
    """
    if files is None:
        return FOREIGN
    wanted = below(files, parts)
    if folder := local(store, source):
        return copy(folder, wanted, target)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with TemporaryDirectory(prefix="genre-download-") as name:
        for path in wanted:
            beside = Path(name, path).parent
            beside.mkdir(parents=True, exist_ok=True)
            try:
                download_artifacts(
                    f"{source.rstrip('/')}/{path}", dst_path=str(beside), tracking_uri=store.uri
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        return copy(Path(name), wanted, target)


def below(files: Files, parts: Sequence[str]) -> Files:
    """Those of `files` below one of `parts`: paths that end with a slash, or `ALL`."""
    return {path: file for path, file in files.items() if path.startswith(tuple(parts))}


def copy(folder: Path, files: Files, target: Path | None) -> str | None:
    """Compare the files in `folder` with their checksums, and copy them to `target`, if given.

    Returns what is wrong, for a message; None if nothing is. No file is read beyond the size that
    it should have.
    """
    if not folder.is_dir():
        return GONE
    wrong = []
    for path in sorted(files):
        try:
            found = _copied(folder / path, target and target / path, files[path].size)
        except FileNotFoundError:
            wrong.append(f"{path} is gone")
        except OSError as error:
            wrong.append(f"{path} cannot be read ({error.strerror})")
        else:
            wrong += [path] if found != files[path] else []
    return _as_message(wrong)


def _sizes(store: Store, source: str, files: Files) -> dict[str, int]:
    """Path to bytes of the files on a server, in those folders that hold some of `files`."""
    from mlflow.artifacts import list_artifacts

    sizes = {}
    for folder in sorted({PurePosixPath(path).parent for path in files}):
        address = f"{source.rstrip('/')}/{folder}" if folder.parts else source
        for entry in list_artifacts(artifact_uri=address, tracking_uri=store.uri):
            if not entry.is_dir:
                name = PurePosixPath(entry.path).name
                sizes[(folder / name).as_posix()] = int(entry.file_size or 0)
    return sizes


def _as_message(wrong: Sequence[str]) -> str | None:
    if not wrong:
        return None
    others = f", and {len(wrong) - 1} more" if wrong[1:] else ""
    return f"its files are not those that were registered ({wrong[0]}{others})"


def _copied(path: Path, target: Path | None, size: int | None) -> File:
    """Size and hash of the file `path`, copied to `target` if given.

    Raises `OSError` for a link. Of what is no file, or has another size than `size`, nothing is
    read, and the hash is empty.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or size not in (None, about.st_size):
            return File(about.st_size, "")
        if target is None:
            return _hashed(file, None, size)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as written:
            return _hashed(file, written, size)


def _hashed(file: BinaryIO, written: BinaryIO | None, most: int | None) -> File:
    digest, size = hashlib.sha256(), 0
    while (block := file.read(BLOCK)) and (most is None or size <= most):
        digest.update(block)
        size += len(block)
        if written:
            written.write(block)
    return File(size, digest.hexdigest())
