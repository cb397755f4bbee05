"""Resolve a model URI or a folder to the folder of a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from genre.core.errors import InputError
from genre.core.params import PARAMS_FILE, ComputeParams, load_params, project_folder
from genre.registry import lookup

OUTSIDE = ComputeParams(engine="local", workers=0, address="", song_timeout_seconds=600.0)


@dataclass(frozen=True)
class Found:
    """The folder of a classifier, its name in messages, and the settings of its workers.

    `version` is None if it is not a registered model.
    """

    folder: Path
    name: str
    version: str | None
    compute: ComputeParams

    @property
    def reference(self) -> Path | None:
        """The folder of its drift reference (`genre.drift.reference`), if it has one."""
        folder = self.folder.parent / "reference"
        return folder if self.folder.name == "model" and folder.is_dir() else None

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name


@contextmanager
def found_classifier(root: Path, model: str | None) -> Iterator[Found]:
    """The classifier that `model` names, or the champion of the project at `root`.

    Downloaded files are removed at the end. Raises `InputError` if there is no such classifier.
    """
    if model and not model.startswith("models:"):
        yield Found(_folder(Path(model)), model, None, OUTSIDE)
        return
    project = project_folder(root)
    params = load_params(project / PARAMS_FILE)
    uri = model or f"models:/{params.register_.name}@champion"
    with lookup.find(uri, params.tracking, project) as found:
        compute = params.compute.model_copy(update={"engine": "local"})
        yield Found(found.folder, found.name, found.version, compute)


def _folder(folder: Path) -> Path:
    """The folder of a classifier: `folder`, or a folder in it if it is an MLflow model."""
    packed = folder / "artifacts" / "model"
    if not folder.is_dir():
        raise InputError(
            f"the model {folder}: no such folder, expected the folder of a classifier, or "
            "models:/NAME@ALIAS"
        )
    return packed if packed.is_dir() else folder
