"""What an attacker, or an accident, does to the files of a registered model."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from registry_project import Project
from safetensors.numpy import load, save

MODEL = "artifacts/model/mlp/model.json"
WEIGHTS = "artifacts/model/mlp/weights.safetensors"


class Payload:
    """Makes the file `sentinel` when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.sentinel),)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change arrays, and the hash beside them, as a careful attacker does."""
    arrays = load((folder / WEIGHTS).read_bytes())
    change(arrays)
    replace_weights(folder, save(arrays))


def replace_weights(folder: Path, content: bytes) -> None:
    (folder / WEIGHTS).write_bytes(content)
    edit(folder / MODEL, weights_sha256=hashlib.sha256(content).hexdigest())


def lying_header(**entry: Any) -> bytes:
    """A safetensors file whose header promises what is not there."""
    text = json.dumps({"layer0.weight": {"dtype": "F32", **entry}}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(64)


def other_loader(folder: Path, sentinel: Path) -> None:
    """Let the description name a module of the attacker's, and bring it along."""
    body = f"import os; os.mkdir({str(sentinel)!r})\n"
    (folder / "code/hostile.py").write_text(body)
    text = yaml.safe_load((folder / "MLmodel").read_text())
    text["flavors"]["python_function"]["loader_module"] = "hostile"
    (folder / "MLmodel").write_text(yaml.safe_dump(text))


def pickled_model(folder: Path, sentinel: Path) -> None:
    """Let the description name a pickled model instead of code, and bring it along."""
    import cloudpickle

    (folder / "python_model.pkl").write_bytes(cloudpickle.dumps(Payload(sentinel)))
    text = yaml.safe_load((folder / "MLmodel").read_text())
    flavor = text["flavors"]["python_function"]
    flavor.pop("model_code_path", None)
    flavor |= {"python_model": "python_model.pkl", "cloudpickle_version": cloudpickle.__version__}
    (folder / "MLmodel").write_text(yaml.safe_dump(text))


def linked(path: Path, outside: Path) -> None:
    """Put a link to a copy outside in the place of a file or folder."""
    path.rename(outside)
    path.symlink_to(outside)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def negate(arrays: dict[str, Any]) -> None:
    arrays["layer1.weight"] = -arrays["layer1.weight"]


# What is done to the files that this project loads (their folder, and a path outside that must stay
# absent), and which of them is named.
ATTACKS: dict[str, tuple[Callable[[Path, Path], Any], str]] = {
    "weights replaced by a pickle": (
        lambda f, out: (f / WEIGHTS).write_bytes(pickle.dumps(Payload(out))),
        WEIGHTS,
    ),
    "weights replaced by a pickle, with its hash": (
        lambda f, out: replace_weights(f, pickle.dumps(Payload(out))),
        MODEL,
    ),
    "changed weights of the right shape": (
        lambda f, _: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-4] + b"\x00\x00\x80?"),
        f"{WEIGHTS}",
    ),
    "changed weights, with their hash": (lambda f, _: change_weights(f, negate), MODEL),
    "NaN": (
        lambda f, _: change_weights(f, lambda a: a["layer1.bias"].fill(np.nan)),
        MODEL,
    ),
    "genres renamed": (lambda f, _: edit(f / MODEL, classes=["a", "b", "c"]), MODEL),
    "names that lead outside": (
        lambda f, _: edit(f / MODEL, name="../../../../etc", classes=["../a", "b", "c"]),
        MODEL,
    ),
    "a huge file": (lambda f, _: os.truncate(f / WEIGHTS, 2**40), f"{WEIGHTS}"),
    "half a file": (lambda f, _: os.truncate(f / WEIGHTS, 100), f"{WEIGHTS}"),
    "an empty file": (lambda f, _: os.truncate(f / MODEL, 0), f"{MODEL}"),
    "a missing file": (lambda f, _: (f / WEIGHTS).unlink(), f"{WEIGHTS} is gone"),
    "a link to a file outside": (lambda f, out: linked(f / WEIGHTS, out), WEIGHTS),
    "a pipe": (
        lambda f, _: ((f / WEIGHTS).unlink(), os.mkfifo(f / WEIGHTS)),
        f"{WEIGHTS}",
    ),
    "drift's reference changed": (
        lambda f, _: append(f / "artifacts/reference/reference.json", " "),
        "artifacts/reference/reference.json",
    ),
    "training songs changed": (
        lambda f, _: append(f / "artifacts/training_songs.json", " "),
        "artifacts/training_songs.json",
    ),
    "everything gone": (lambda f, _: [shutil.rmtree(f), f.mkdir()], "artifacts/model/"),
}
# What is done to files that MLflow loads and this project does not.
NOT_READ: dict[str, Callable[[Path], Any]] = {
    "a pickled model named": lambda f: pickled_model(f, f / "sentinel"),
    "another description": lambda f: append(f / "MLmodel", "x: 1\n"),
    "code changed": lambda f: append(f / "code/genre/__init__.py", "\nraise SystemExit\n"),
    "requirements gone": lambda f: (f / "requirements.txt").unlink(),
}
# What is added is ignored, and never read.
ADDED: dict[str, Callable[[Path], Any]] = {
    "what MLflow writes at a look-up": lambda f: (f / "registered_model_meta").write_text("x: 1"),
    "a module": lambda f: (f / "code/genre/models/x.py").touch(),
    "bytecode": lambda f: (f / "code/genre/hostile.pyc").write_bytes(b"hostile"),
    "a file among the weights": lambda f: (f / "artifacts/model/mlp/notes.txt").touch(),
    "a deep folder": lambda f: (f / "a" / ("b/" * 500)).mkdir(parents=True),
    "a pipe": lambda f: os.mkfifo(f / "artifacts/model/pipe"),
    "a link that leads nowhere": lambda f: (f / "artifacts/link").symlink_to("/nowhere"),
}

# A folder given by hand has no registry behind it: what cannot be a model is refused by its form.
FORMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a shape far larger than the file": (
        lambda f: replace_weights(f, lying_header(shape=[2**40], data_offsets=[0, 2**42])),
        "not a safetensors file",
    ),
    "a shape that is not its bytes": (
        lambda f: replace_weights(f, lying_header(shape=[2**20, 2**20], data_offsets=[0, 64])),
        "not a safetensors file",
    ),
    "a header longer than the file": (
        lambda f: replace_weights(f, struct.pack("<Q", 2**62) + b"{}"),
        "not a safetensors file",
    ),
    "a terabyte": (lambda f: os.truncate(f / WEIGHTS, 2**40), "expected a file of at most"),
    "a description of a terabyte": (
        lambda f: os.truncate(f / MODEL, 2**40),
        "expected a file of at most",
    ),
    "infinity": (
        lambda f: change_weights(f, lambda a: a["layer1.bias"].fill(np.inf)),
        "not finite",
    ),
    "another type": (
        lambda f: change_weights(
            f, lambda a: a.update({"layer1.bias": a["layer1.bias"].astype(np.float64)})
        ),
        "is float64",
    ),
    "another shape": (
        lambda f: change_weights(f, lambda a: a.update({"layer1.bias": a["layer1.bias"][:1]})),
        "expected float32",
    ),
    "a genre twice": (lambda f: edit(f / MODEL, classes=["a", "a", "b"]), "has duplicates"),
    "a genre that is a path": (lambda f: edit(f / MODEL, classes=["../a", "b", "c"]), "classes"),
    "a member outside": (
        lambda f: edit(
            f / "artifacts/model/classifier.json",
            members=[{"name": "../model/mlp", "weight": 1.0, "temperature": 1.0}],
        ),
        "members.0.name",
    ),
    "a network of terabytes": (
        lambda f: edit(
            f / MODEL,
            settings=json.loads((f / MODEL).read_text())["settings"] | {"hidden": [2**40]},
        ),
        "expected float32",
    ),
}


def place_of(project: Project) -> Path:
    return project.root / "mlruns/artifacts/models" / project.receipt["model_id"] / "artifacts"


MLFLOW = """
import json, sys, mlflow
said = []
for model in sys.argv[1:]:
    try:
        loaded = mlflow.pyfunc.load_model(model).unwrap_python_model()
        said.append(", ".join(loaded.classifier.classes))
    except Exception as error:
        said.append(str(error))
print(json.dumps(said))
"""


def with_mlflow(*models: Path) -> list[str]:
    """What each model knows, or why it cannot be loaded, to a program that knows MLflow alone."""
    done = subprocess.run(
        [sys.executable, "-c", MLFLOW, *models],
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[str] = json.loads(done.stdout.splitlines()[-1])
    return answers
