"""Package a trained model as MLflow's pyfunc: code, weights, requirements, signature, model card.

The model predicts wherever its requirements are installed, without this project, because it
contains the `genre` modules that it needs. Nothing in it is pickled.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genre
from genre.classifier import TOP
from genre.core.files import write_json
from genre.drift import reference
from genre.features.families import FAMILIES
from genre.models import ensemble, family, serialization
from genre.registry.facts import Pipeline, training_songs
from genre.registry.lookup import MODEL, REFERENCE, TRAINING_SONGS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model, ModelSignature

    from genre.drift.reference import Reference
    from genre.models.base import Input

PACKAGE = Path(genre.__file__).parent
CODE = Path(__file__).with_name("pyfunc_model.py")
CLASSIFIER = "genre.classifier"  # what pyfunc_model.py imports of this package
MODEL_CARD = "model_card.md"
FEATURES: Input = "features_3s"
EXAMPLE_RATE = 8_000  # Hz; low, because the example is stored as text
REQUIREMENTS = (
    *("av", "librosa", "mlflow", "numba", "numpy", "pandas", "pydantic", "safetensors", "scipy"),
    *("soundfile", "soxr"),
)
BY_INPUT = {  # additional requirements of models, by their input
    "log_mel": ("torch",),
    "spectrogram": ("matplotlib", "pillow", "torch"),
}


def save(pipeline: Pipeline, folder: Path, model: Model, model_card: str) -> None:
    """Save the selected model to the new folder `folder`; `model` is its entry in the store."""
    from mlflow import pyfunc

    pretrained = (pipeline.classifier / ensemble.PRETRAINED).is_dir()
    names = [member.name for member in pipeline.described.members]
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        artifacts = {
            MODEL: temporary / MODEL,
            REFERENCE: temporary / REFERENCE,
            "training_songs": temporary / TRAINING_SONGS,
        }
        shutil.copytree(pipeline.classifier, artifacts[MODEL])
        reference.save(training_reference(pipeline), artifacts[REFERENCE])
        write_json(artifacts["training_songs"], training_songs(pipeline.songs, pipeline.subsets))
        pyfunc.save_model(
            folder,
            mlflow_model=model,
            python_model=str(CODE),
            code_paths=[str(copy_code(temporary / "code", names, pipeline.described.families))],
            artifacts={key: str(path) for key, path in artifacts.items()},
            signature=signature(),
            input_example=example(),
            pip_requirements=requirements(inputs(pipeline), pretrained=pretrained),
        )
    (folder / MODEL_CARD).write_text(model_card, encoding="utf-8")
    for compiled in list(folder.rglob("__pycache__")):
        shutil.rmtree(compiled)


def training_reference(pipeline: Pipeline) -> Reference:
    """The drift reference: features of training songs, confidences of held-out songs."""
    import pandas as pd

    from genre import evaluation
    from genre.splits import TRAIN

    trained = pipeline.subsets[pipeline.subsets["subset"] == TRAIN]["track_id"].unique()
    songs = pipeline.songs[pipeline.songs["track_id"].isin(trained)]
    columns = pd.DataFrame(index=range(len(songs)))
    if FEATURES in inputs(pipeline):
        data = pipeline.data(FEATURES)
        rows = data.mask(TRAIN)
        columns = data.inputs(rows).groupby(data.keys.loc[rows, "track_id"].to_numpy()).mean()
    held_out = pipeline.predicted[pipeline.predicted["subset"] != TRAIN]
    confidence = evaluation.probabilities(evaluation.by_song(held_out)).max(axis=1)
    return reference.make(
        columns,
        {str(genre): int(number) for genre, number in songs["genre"].value_counts().items()},
        confidence,
        pipeline.params.trim.position,
    )


def requirements(inputs: Iterable[str] = (), *, pretrained: bool = False) -> list[str]:
    """The packages that a model with `inputs` needs, in the versions that are installed here.

    `pretrained` if pretrained networks compute its features.
    """
    names = {*REQUIREMENTS, *(name for source in inputs for name in BY_INPUT.get(source, ()))}
    names |= {"torch"} if pretrained else set()
    # Without the local version (torch's +cpu), which a package index may not have.
    return [f"{name}=={version(name).partition('+')[0]}" for name in sorted(names)]


def inputs(pipeline: Pipeline) -> set[str]:
    """The inputs of the models."""
    members = pipeline.described.members
    return {
        serialization.read_description(pipeline.classifier / each.name).input for each in members
    }


def copy_code(target: Path, names: Iterable[str], families: Iterable[str]) -> Path:
    """Copy the modules that these models and feature families need; return the package's folder."""
    modules = (
        CLASSIFIER,
        *(family(name).__module__ for name in names),
        *(FAMILIES[name].module for name in families),
    )
    for path in needed_modules(*modules):
        copy = target / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return target / PACKAGE.name


@cache
def needed_modules(*modules: str) -> set[Path]:
    """The files of `modules` and of all modules of this package that they import.

    Imports are read from compiled code, also those inside functions; nothing is imported.
    """
    finder = _OwnModules([str(PACKAGE.parent)])
    for module in modules:
        finder.import_hook(module)
    found: dict[str, Any] = finder.modules
    return {Path(module.__file__) for module in found.values()}


class _OwnModules(ModuleFinder):
    """Finds the modules of this package only."""

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        """As `ModuleFinder`; raises `ImportError` for other packages."""
        if path is None and name != PACKAGE.name:
            raise ImportError(name)
        return super().find_module(name, path, parent)


def signature() -> ModelSignature:
    """The columns of input and output, and `params`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map, Object, Property

    genre_probability = Object(
        [Property("genre", DataType.string), Property("probability", DataType.double)]
    )
    segment = Object(
        [Property("start_s", DataType.double), Property("probabilities", Map(DataType.double))]
    )
    tag = Object([Property("tag", DataType.string), Property("activation", DataType.double)])
    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, "path", required=False),
                ColSpec(DataType.binary, "audio", required=False),
            ]
        ),
        outputs=Schema(
            [
                ColSpec(DataType.string, "genre"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Array(genre_probability), "top"),
                ColSpec(DataType.double, "seconds"),
                ColSpec(Array(segment), "timeline", required=False),
                ColSpec(Array(tag), "tags", required=False),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("top", DataType.long, TOP),
                ParamSpec("timeline", DataType.boolean, False),
                ParamSpec("tags", DataType.long, 0),
            ]
        ),
    )


def example() -> pd.DataFrame:
    """An input example: one second of a 440 Hz tone, as a WAV file."""
    import numpy as np
    import pandas as pd
    import soundfile

    tone = 0.25 * np.sin(2 * np.pi * 440 * np.arange(EXAMPLE_RATE) / EXAMPLE_RATE)
    content = io.BytesIO()
    soundfile.write(content, tone, EXAMPLE_RATE, format="WAV", subtype="PCM_16")
    return pd.DataFrame({"audio": [content.getvalue()]})
