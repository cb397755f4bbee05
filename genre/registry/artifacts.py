"""The files of a registered version, and whether they are what was registered.

What a version's model consists of is noted in its tag `files` when it is made: each file's path,
bytes and SHA-256. The tag lies in the registry, not among the files, so that whoever can change
these alone cannot change what they are compared with. A version without that tag was made by
something else, and is refused.

Nothing here imports MLflow at the top: a look-up must not wait for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from genre.registry.store import Store

FILES = "files"
GONE = "its files are gone"
UNKNOWN = "nothing in the registry says which files are its own"
BYTECODE = "__pycache__"  # which Python leaves beside code that MLflow ran; never read here
BLOCK = 1 << 20


class File(NamedTuple):
    """What is noted of a file."""

    size: int
    sha256: str


Files = dict[str, File]


def note(files: Mapping[str, File]) -> str:
    """`files`, by their paths, as the text of the tag."""
    return json.dumps({path: list(files[path]) for path in sorted(files)})


def read(text: str | None) -> Files | None:
    """What the tag's text says; null where there is none, or it says no hashes."""
    try:
        found = json.loads(text or "null")
        return {str(path): File(int(size), str(sha256)) for path, (size, sha256) in found.items()}
    except (AttributeError, TypeError, ValueError):
        return None


def of_folder(folder: Path) -> Files:
    """Every file below `folder`, which is ours."""
    return {path: _copied(folder / path, None, None) for path in _walk(folder)}


def changed(
    folder: Path, noted: Files | None, *, target: Path | None = None, parts: Sequence[str] = ()
) -> str | None:
    """What of `folder` is not as `noted`, in words; null where every file is.

    Files that are added count, links and whatever else is no file. Those below `parts` (paths that
    end with a slash; empty for all) are copied to `target` while they are read, so that what is
    used of them afterwards is what was checked. No file is read beyond the bytes that are noted.
    """
    if not folder.is_dir():
        return GONE
    if noted is None:
        return UNKNOWN
    try:
        found = set(_walk(folder, noted))
    except OSError as error:
        return f"its folder {error.filename} cannot be read ({error.strerror})"
    wrong = [f"{path} was added" for path in sorted(found - noted.keys())]
    wrong += [f"{path} is gone" for path in sorted(noted.keys() - found)]
    for path in sorted(noted.keys() & found):
        kept = target / path if target and path.startswith(tuple(parts)) else None
        try:
            same = _copied(folder / path, kept, noted[path].size) == noted[path]
        except OSError as error:
            wrong.append(f"{path} cannot be read ({error.strerror})")
            continue
        if not same:
            wrong.append(f"{path} is not as it was")
    return _told(wrong)


def local(source: str) -> Path | None:
    """The folder on this machine behind the address `source`; null where it is elsewhere."""
    place = urlsplit(source)
    return Path(url2pathname(place.path)) if place.scheme in ("", "file") else None


def loss(store: Store, version: ModelVersion) -> str | None:
    """What is not as it was registered of the version's files; see `lost`."""
    source = store.client.get_model_version_download_uri(version.name, version.version)
    return lost(store, source, read(version.tags.get(FILES)))


def lost(store: Store, source: str, noted: Files | None) -> str | None:
    """What of the files at the address `source` is not as `noted`, in words; null where all is.

    Of files on a server, names and sizes are compared here, and hashes when they are brought.
    """
    if folder := local(source):
        return changed(folder, noted)
    found = sizes(store, source)
    if not found:
        return GONE
    if noted is None:
        return UNKNOWN
    was = {path: file.size for path, file in noted.items()}
    return _told(sorted(path for path, _ in was.items() ^ found.items()))


def sizes(store: Store, source: str) -> dict[str, int]:
    """Path to bytes of every file below the address `source`; empty where there is nothing."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(source, tracking_uri=store.uri)
    files: dict[str, int] = {}
    waiting: list[str | None] = [None]
    while waiting:
        for entry in repository.list_artifacts(waiting.pop()):
            if not entry.is_dir:
                files[entry.path] = int(entry.file_size or 0)
            elif entry.path.rpartition("/")[2] != BYTECODE:
                waiting.append(entry.path)
    return dict(sorted(files.items()))


def bring(
    store: Store, source: str, noted: Files | None, parts: Sequence[str], target: Path
) -> str | None:
    """Copy what is noted below `parts` (as in `changed`) from the address `source` to `target`.

    Returns what is not as it was registered, in words; null where all is. Of files on a server
    only those that are brought are looked at.
    """
    if folder := local(source):
        return changed(folder, noted, target=target, parts=parts)
    if noted is None:
        return UNKNOWN
    from tempfile import TemporaryDirectory

    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    wanted = {path: file for path, file in noted.items() if path.startswith(tuple(parts))}
    with TemporaryDirectory(prefix="genre-brought-") as name:
        brought = Path(name, "files")
        brought.mkdir()
        for part in parts:
            beside = brought.joinpath(part).parent if part else brought
            beside.mkdir(parents=True, exist_ok=True)
            address = f"{source.rstrip('/')}/{part}".rstrip("/")
            if not any(path.startswith(part) for path in wanted):
                continue
            try:
                download_artifacts(address, dst_path=str(beside), tracking_uri=store.uri)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return GONE
        return changed(brought, wanted, target=target, parts=parts)


def _told(wrong: Sequence[str]) -> str | None:
    if not wrong:
        return None
    others = f", and {len(wrong) - 1} more" if wrong[1:] else ""
    return f"its files are not those that were registered ({wrong[0]}{others})"


def _walk(folder: Path, noted: Files | None = None) -> list[str]:
    """The path of everything below `folder` that is no folder, sorted; links are not followed.

    A folder with none of the files in `noted` (null: any) is named, and not looked into.
    """
    above = {f"{parent}/" for path in noted or () for parent in PurePosixPath(path).parents}
    found, waiting = [], [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                path = below + entry.name
                if not entry.is_dir(follow_symlinks=False):
                    found.append(path)
                elif entry.name == BYTECODE:
                    continue
                elif noted is None or f"{path}/" in above:
                    waiting.append(f"{path}/")
                else:
                    found.append(f"{path}/")
    return sorted(found)


def _copied(path: Path, target: Path | None, most: int | None) -> File:
    """Size and hash of the file `path`, copied to `target` where it is given.

    Raises `OSError` for a link and for what is no file. Of one that does not have `most` bytes
    nothing is read, and the hash is empty.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or most not in (None, about.st_size):
            return File(about.st_size, "")
        if target is None:
            return _hashed(file, None, most)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as copy:
            return _hashed(file, copy, most)


def _hashed(file: BinaryIO, copy: BinaryIO | None, most: int | None) -> File:
    digest, size = hashlib.sha256(), 0
    while (block := file.read(BLOCK)) and (most is None or size <= most):
        digest.update(block)
        size += len(block)
        if copy:
            copy.write(block)
    return File(size, digest.hexdigest())
