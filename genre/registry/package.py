"""Package a trained model as MLflow's pyfunc: code, weights, requirements, signature, model card.

The model predicts wherever its requirements are installed, without this project: the `genre`
modules that it needs are in it. Nothing in it is pickled.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import wave
from collections.abc import Iterable
from importlib.metadata import version
from modulefinder import ModuleFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genre
from genre.classifier import TOP
from genre.drift import reference
from genre.files import write_json
from genre.models import ensemble, family, store
from genre.models.ensemble import read_description
from genre.registry import facts
from genre.registry.facts import Pipeline
from genre.registry.lookup import MODEL, REFERENCE, TRAINING_SONGS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model, ModelSignature

    from genre.drift.reference import Reference
    from genre.models.base import Input

PACKAGE = Path(genre.__file__).parent
CODE = Path(__file__).with_name("pyfunc_model.py")
CLASSIFIER = "genre.classifier"  # what the code above imports of this package
MODEL_CARD = "model_card.md"
FEATURES: Input = "features_3s"
EXAMPLE_RATE = 8_000  # Hz; low, because the example is stored as text
REQUIREMENTS = (
    "av",
    "librosa",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "pydantic",
    "safetensors",
    "scipy",
    "soundfile",
    "soxr",
)
PRETRAINED = ("torch",)  # what pretrained networks need
BY_INPUT = {  # what a model needs more, by its input
    "log_mel": ("torch",),
    "spectrogram": ("matplotlib", "pillow", "torch"),
}


def save(pipeline: Pipeline, folder: Path, model: Model, model_card: str) -> None:
    """Save the selected model to the new folder `folder`; `model` is its entry in the store."""
    from mlflow import pyfunc

    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        weights = temporary / MODEL
        shutil.copytree(pipeline.classifier, weights)
        songs = temporary / TRAINING_SONGS
        write_json(songs, facts.training_songs(pipeline.songs, pipeline.subsets))
        reference.save(training_reference(pipeline), temporary / REFERENCE)
        pyfunc.save_model(
            folder,
            mlflow_model=model,
            python_model=str(CODE),
            code_paths=[str(copy_code(temporary / "code", members(pipeline)))],
            artifacts={
                MODEL: str(weights),
                "training_songs": str(songs),
                REFERENCE: str(temporary / REFERENCE),
            },
            signature=signature(),
            input_example=example(),
            pip_requirements=requirements(
                inputs(pipeline), pretrained=has_pretrained(pipeline.classifier)
            ),
        )
    (folder / MODEL_CARD).write_text(model_card, encoding="utf-8")
    for compiled in list(folder.rglob("__pycache__")):
        shutil.rmtree(compiled)


def training_reference(pipeline: Pipeline) -> Reference:
    """What drift compares new songs with: training songs, and confidences of held-out songs."""
    import pandas as pd

    from genre import evaluation
    from genre.splits import TRAIN

    trained = pipeline.subsets[pipeline.subsets["subset"] == TRAIN]["track_id"].unique()
    songs = pipeline.songs[pipeline.songs["track_id"].isin(trained)]
    columns = pd.DataFrame(index=range(len(songs)))
    if FEATURES in inputs(pipeline):
        data = pipeline.data(FEATURES)
        rows = data.mask(TRAIN)
        columns = data.look(rows).groupby(data.keys.loc[rows, "track_id"].to_numpy()).mean()
    held_out = pipeline.predicted[pipeline.predicted["subset"] != TRAIN]
    confidence = evaluation.probabilities(evaluation.by_song(held_out)).max(axis=1)
    return reference.make(
        columns,
        {str(genre): int(number) for genre, number in songs["genre"].value_counts().items()},
        confidence,
        pipeline.params.trim.position,
    )


def requirements(inputs: Iterable[str] = (), *, pretrained: bool = False) -> list[str]:
    """What the model needs to predict from `inputs`, in the versions that are installed here.

    `pretrained` if pretrained networks compute its features.
    """
    names = {*REQUIREMENTS, *(name for source in inputs for name in BY_INPUT.get(source, ()))}
    names |= {*PRETRAINED} if pretrained else set()
    # What follows a plus names a build (torch's +cpu), which an index need not have.
    return [f"{name}=={version(name).partition('+')[0]}" for name in sorted(names)]


def has_pretrained(classifier: Path) -> bool:
    """Whether the classifier in this folder has the weights of pretrained networks."""
    return (classifier / ensemble.PRETRAINED).is_dir()


def inputs(pipeline: Pipeline) -> set[str]:
    """The inputs of the models."""
    folders = (pipeline.classifier / name for name in members(pipeline))
    return {store.read_description(folder).input for folder in folders}


def members(pipeline: Pipeline) -> list[str]:
    """The names of the models that predict."""
    return [member.name for member in read_description(pipeline.classifier).members]


def copy_code(target: Path, names: Iterable[str]) -> Path:
    """Copy the modules that these models need to `target`; return the package's folder there."""
    modules = (CLASSIFIER, *(family(name).__module__ for name in names))
    for path in needed_modules(*modules):
        copy = target / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return target / PACKAGE.name


def needed_modules(*modules: str) -> set[Path]:
    """The files of `modules` and of what they import of this package, wherever they import it.

    Nothing is imported: imports are read from compiled code.
    """
    finder = _OwnModules([str(PACKAGE.parent)])
    for module in modules:
        finder.import_hook(module)
    found: dict[str, Any] = finder.modules
    return {Path(module.__file__) for module in found.values()}


class _OwnModules(ModuleFinder):
    """Finds the modules of this package alone."""

    def find_module(self, name: str, path: Any, parent: Any = None) -> Any:
        """As `ModuleFinder`; raises `ImportError` for other packages."""
        if path is None and name != PACKAGE.name:
            raise ImportError(name)
        return super().find_module(name, path, parent)


def signature() -> ModelSignature:
    """The columns that go in and come out, and `params`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map, Object, Property

    choice = Object([Property("genre", DataType.string), Property("probability", DataType.double)])
    moment = Object(
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
                ColSpec(Array(choice), "top"),
                ColSpec(DataType.double, "seconds"),
                ColSpec(Array(moment), "timeline", required=False),
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
    """An input that can be predicted anywhere: one second of a 440 Hz tone, as a WAV file."""
    import numpy as np
    import pandas as pd

    t = np.arange(EXAMPLE_RATE) / EXAMPLE_RATE
    tone = (np.sin(2 * np.pi * 440 * t) * 8_192).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(EXAMPLE_RATE)
        file.writeframes(tone.tobytes())
    return pd.DataFrame({"audio": [content.getvalue()]})
