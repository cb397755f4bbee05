"""From what a person names to the folder of a classifier: a registered model, or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from genre.core.errors import InputError
from genre.core.params import PARAMS_FILE, ComputeParams, in_project, load_params
from genre.registry import lookup

OUTSIDE = ComputeParams(engine="local", workers=0, address="", song_timeout_seconds=600.0)


@dataclass(frozen=True)
class Found:
    """The folder of a classifier, what to call it, and how its work is shared out.

    `version` is null where it is no registered one.
    """

    folder: Path
    name: str
    version: str | None
    compute: ComputeParams

    @property
    def reference(self) -> Path | None:
        """What the version keeps of its training songs (`genre.drift.reference`), if anything."""
        folder = self.folder.parent / "reference"
        return folder if self.folder.name == "model" and folder.is_dir() else None

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name


@contextmanager
def found_classifier(root: Path, model: str | None) -> Iterator[Found]:
    """The classifier that `model` names, or the champion of the project at `root`.

    Files that were brought here go afterwards. Raises `InputError` where there is none.
    """
    if model and not model.startswith("models:"):
        yield Found(_folder(Path(model)), model, None, OUTSIDE)
        return
    project = in_project(root)
    params = load_params(project / PARAMS_FILE)
    uri = model or f"models:/{params.register_.name}@champion"
    with lookup.find(uri, params.tracking, project) as found:
        compute = params.compute.model_copy(update={"engine": "local"})
        yield Found(found.folder, found.name, found.version, compute)


def _folder(folder: Path) -> Path:
    """The folder of a classifier: `folder` itself, or below it where it is a model of MLflow's."""
    packed = folder / "artifacts" / "model"
    if not folder.is_dir():
        raise InputError(
            f"the model {folder}: no such folder, expected the folder of a classifier, or "
            "models:/NAME@ALIAS"
        )
    return packed if packed.is_dir() else folder
