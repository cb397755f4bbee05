"""Pack a trained model as MLflow's pyfunc: code, weights, requirements, signature, model card.

The model answers wherever its requirements are installed, without this project: the `genre`
modules that it needs travel inside. Nothing in it is pickled.
"""

from __future__ import annotations

import ast
import io
import shutil
import tempfile
import wave
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import genre
from genre.classifier import TOP
from genre.drift import reference
from genre.files import write_json
from genre.models import ensemble, family, store
from genre.models.ensemble import read_description
from genre.registry import facts
from genre.registry.facts import Pipeline
from genre.registry.layout import MODEL, REFERENCE, TRAINING_SONGS

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model, ModelSignature

    from genre.drift.reference import Reference
    from genre.models.base import Input

PACKAGE = Path(genre.__file__).parent
CODE = Path(__file__).with_name("pyfunc_model.py")
FACE = "genre.classifier"  # what the code above needs of this package
MODEL_CARD = "model_card.md"
FEATURES: Input = "features_3s"
EXAMPLE_RATE = 8_000  # Hz; small, for the example is kept as text
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
PRETRAINED = ("torch",)  # what networks that listen need
BY_INPUT = {  # what more a member needs, by what it looks at
    "log_mel": ("torch",),
    "spectrogram": ("matplotlib", "pillow", "torch"),
}


def save(pipeline: Pipeline, folder: Path, model: Model, model_card: str) -> None:
    """Write the selected model to the new folder `folder`; `model` is its place in the store."""
    from mlflow import pyfunc

    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        weights = temporary / MODEL
        shutil.copytree(pipeline.classifier, weights)
        songs = temporary / TRAINING_SONGS
        write_json(songs, facts.training_songs(pipeline.songs, pipeline.subsets))
        known = temporary / REFERENCE
        reference.save(training_reference(pipeline), known)
        pyfunc.save_model(
            folder,
            mlflow_model=model,
            python_model=str(CODE),
            code_paths=[str(copy_code(temporary / "code", members(pipeline)))],
            artifacts={MODEL: str(weights), "training_songs": str(songs), REFERENCE: str(known)},
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
    """What new songs will be compared with: the training songs, and the answers to the others."""
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
    unheard = pipeline.answers[pipeline.answers["subset"] != TRAIN]
    confidence = evaluation.probabilities(evaluation.by_song(unheard)).max(axis=1)
    return reference.make(
        columns,
        {str(genre): int(number) for genre, number in songs["genre"].value_counts().items()},
        confidence,
        pipeline.params.trim.position,
    )


def requirements(inputs: Iterable[str] = (), *, pretrained: bool = False) -> list[str]:
    """What the model needs to answer from `inputs`, in the versions that are installed here.

    `pretrained` says whether networks listen in its place.
    """
    names = {*REQUIREMENTS, *(name for source in inputs for name in BY_INPUT.get(source, ()))}
    names |= {*PRETRAINED} if pretrained else set()
    # What follows a plus names a build (torch's +cpu), which an index need not have.
    return [f"{name}=={version(name).partition('+')[0]}" for name in sorted(names)]


def has_pretrained(classifier: Path) -> bool:
    """Whether the classifier in this folder has the weights of networks that listen."""
    return (classifier / ensemble.PRETRAINED).is_dir()


def inputs(pipeline: Pipeline) -> set[str]:
    """What the members look at."""
    folders = (pipeline.classifier / name for name in members(pipeline))
    return {store.read_description(folder).input for folder in folders}


def members(pipeline: Pipeline) -> list[str]:
    """The names of the models that answer."""
    return [member.name for member in read_description(pipeline.classifier).members]


def copy_code(target: Path, names: Iterable[str]) -> Path:
    """Copy the modules that these models need to `target`; return the package's folder there.

    Families of models are imported by name, where reading the imports does not find them.
    """
    families = (needed_modules(family(name).__module__) for name in names)
    for path in needed_modules(FACE).union(*families):
        copy = target / path.relative_to(PACKAGE.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return target / PACKAGE.name


def needed_modules(module: str) -> set[Path]:
    """The files of `module`, of what it imports of this package, at the top or within, and so on.

    Imports are read and not run, so that asking costs nothing.
    """
    needed: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or path in needed:
            continue
        needed.add(path)
        waiting.append(name.rpartition(".")[0])
        waiting += _imports(path)
    return needed


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """The names that a module imports, and those that they may be modules of."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(found)


def _file(module: str) -> Path | None:
    """The file of a module of this package; null for anything else."""
    top, *rest = module.split(".")
    if top != PACKAGE.name:
        return None
    place = PACKAGE.joinpath(*rest)
    found = (path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file())
    return next(found, None)


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
    """An input that works anywhere: the bytes of a WAV file, one second of a 440 Hz tone."""
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
