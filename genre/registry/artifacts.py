"""The files of a registered version, and whether they are all there.

What a version's model consists of is noted in its tag `files` when it is made: each file's path
and bytes. A version without that tag, which something else made, at least has its `MLmodel`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

FILES = "files"
DESCRIPTION = "MLmodel"  # MLflow's own name


def contents(store: Store, source: str) -> dict[str, int]:
    """Path to bytes of every file below the address `source`; empty where there is nothing."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(source, tracking_uri=store.uri)
    files: dict[str, int] = {}
    waiting: list[str | None] = [None]
    while waiting:
        for entry in repository.list_artifacts(waiting.pop()):
            if entry.is_dir:
                waiting.append(entry.path)
            else:
                files[entry.path] = int(entry.file_size or 0)
    return dict(sorted(files.items()))


def loss(store: Store, version: ModelVersion) -> str | None:
    """What is missing of the version's files, in words; null where they are all there."""
    source = store.client.get_model_version_download_uri(version.name, version.version)
    found = contents(store, source)
    if not found:
        return "its files are gone"
    noted: dict[str, int] | None = json.loads(version.tags.get(FILES, "null"))
    if noted is None:
        return None if DESCRIPTION in found else f"its file {DESCRIPTION} is gone"
    lost = [path for path, size in noted.items() if found.get(path) != size]
    if not lost:
        return None
    others = f" and {len(lost) - 1} more" if lost[1:] else ""
    return f"some of its files are gone or not as they were ({lost[0]}{others})"
