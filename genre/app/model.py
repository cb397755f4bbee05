"""Load the classifier of the page, with its name, version and accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genre.classifier import Classifier
from genre.core.params import PARAMS_FILE, load_params
from genre.registry.resolve import found_classifier

MEASURES = ("accuracy", "accuracy_low", "accuracy_high")


@dataclass(frozen=True)
class LoadedModel:
    """The classifier of the page; `version` and `accuracy` are None if there are none."""

    classifier: Classifier
    name: str
    version: str | None
    accuracy: str | None

    @property
    def title(self) -> str:
        """The name, with the version if it has one."""
        return f"{self.name} version {self.version}" if self.version else self.name


@contextmanager
def opened(root: Path, model: str | None) -> Iterator[LoadedModel]:
    """Load the classifier that the URI or folder `model` names, the champion if it is None.

    Raises `InputError` if there is none or it is damaged, `RegistryError` if the store cannot be
    reached.
    """
    with found_classifier(root, model) as found:
        classifier = Classifier.from_folder(found.folder)
        shown = _accuracy(root, found.name, found.version) if found.version else None
        yield LoadedModel(classifier, found.name, found.version, shown)


def _accuracy(root: Path, name: str, version: str) -> str | None:
    """The accuracy of a registered version; None if it is registered under another name."""
    from genre import registry

    params = load_params(root / PARAMS_FILE)
    if name != params.register_.name:
        return None
    rows = [row for row in registry.models(params, root) if row["version"] == version]
    return accuracy(rows[0]) if rows else None


def accuracy(row: dict[str, Any]) -> str | None:
    """The accuracy in a row of `genre.registry.models`, with its interval; None if it has none."""
    if any(row[name] is None for name in MEASURES):
        return None
    value, low, high = (f"{100 * float(row[name]):.1f}" for name in MEASURES)
    interval = f"(95\u00a0% interval {low}\u2060–\u2060{high}\u00a0%)"
    return f"{value}\u00a0% of the {row['subset']} songs {interval}"
