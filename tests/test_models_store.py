"""A model's folder: replaced atomically, and refused if it is damaged or invalid."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from genre.core import files
from genre.core.errors import InputError
from genre.core.params import MlpParams
from genre.models import load_model, serialization
from genre.models.mlp import Mlp


def untrained(fill: float = 0.5) -> Mlp:
    """A model with given weights, without training."""
    model = Mlp(
        MlpParams(
            hidden=[4],
            dropout=0.0,
            learning_rate=0.1,
            weight_decay=0.0,
            label_smoothing=0.0,
            batch_size=2,
            max_epochs=1,
            patience=1,
        )
    )
    model.classes, model.features = ("blues", "jazz"), ("tempo", "rms_mean")
    model.mean, model.scale = np.zeros(2), np.ones(2)
    model.weights = [np.full((4, 2), fill, np.float32), np.full((2, 4), fill, np.float32)]
    model.biases = [np.zeros(4, np.float32), np.zeros(2, np.float32)]
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    untrained().save(tmp_path / "mlp")
    return tmp_path / "mlp"


def change_description(folder: Path, **changes: Any) -> None:
    path = folder / serialization.DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_arrays(folder: Path, **changes: Any) -> None:
    """Change arrays (None removes one) and the hash: a valid file with other content."""
    arrays = load((folder / serialization.WEIGHTS).read_bytes())
    for name, array in changes.items():
        name = name.replace("__", ".")
        arrays.pop(name, None)
        if array is not None:
            arrays[name] = array
    content = save(arrays)
    (folder / serialization.WEIGHTS).write_bytes(content)
    change_description(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trained model here"):
        load_model(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_description_that_is_not_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / serialization.DESCRIPTION).write_bytes(content)
    with pytest.raises(InputError, match=r"model\.json: cannot be read as JSON"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, expected 1"),
        ({"name": "mlpp"}, "found the model 'mlpp', expected one of"),
        ({"input": "log_mel"}, "found the model mlp on log_mel"),
        ({"classes": ["blues"]}, "not the description of a model: classes"),
        ({"surprise": 1}, "not the description of a model: surprise"),
        ({"settings": {"hidden": [4]}}, "settings: dropout"),
        ({"features": ["tempo"]}, r"scaler.mean is float64 \(2,\), expected float64 \(1\)"),
        ({"weights_sha256": "0" * 64}, "damaged, or not the weights"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    change_description(folder, **changes)
    with pytest.raises(InputError, match=message):
        load_model(folder)


@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_json_that_is_not_a_description_is_refused(folder: Path, content: str) -> None:
    (folder / serialization.DESCRIPTION).write_text(content)
    with pytest.raises(InputError, match="not the description of a model"):
        load_model(folder)


def test_a_truncated_or_changed_weight_file_is_refused(folder: Path) -> None:
    path = folder / serialization.WEIGHTS
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:4], b"", whole[:-1] + b"\x01"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"weights\.safetensors: damaged"):
            load_model(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: cannot be read"):
        load_model(folder)


def test_a_pickle_in_the_place_of_the_weights_is_not_opened(folder: Path) -> None:
    import pickle

    content = pickle.dumps({"layer0.weight": [1.0]})
    (folder / serialization.WEIGHTS).write_bytes(content)
    change_description(folder, weights_sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(InputError, match="not a safetensors file"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer1__bias": None}, "layer1.bias is missing"),
        ({"layer2__bias": np.zeros(2, np.float32)}, "unknown arrays layer2.bias"),
        ({"layer1__bias": np.zeros(2, np.float64)}, r"layer1.bias is float64 \(2,\)"),
        ({"layer0__weight": np.zeros((2, 4), np.float32)}, r"expected float32 \(4, 2\)"),
        ({"layer0__weight": np.zeros(8, np.float32)}, r"expected float32 \(4, 2\)"),
        ({"scaler__mean": np.array([0.0, np.nan])}, "scaler.mean has values that are not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    change_arrays(folder, **changes)
    with pytest.raises(InputError, match=message):
        load_model(folder)


def test_saving_again_replaces_the_whole_folder(folder: Path) -> None:
    (folder / "left.txt").write_text("from another time")
    untrained(fill=2).save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        serialization.DESCRIPTION,
        serialization.WEIGHTS,
    ]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mlp"]
    loaded = load_model(folder)
    assert isinstance(loaded, Mlp)
    assert loaded.weights[0][0, 0] == 2


def test_a_file_system_without_exchange_is_served_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "exchange", lambda *_: False)
    untrained(fill=2).save(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mlp"]
    assert load_model(folder).arrays()["layer0.weight"][0, 0] == 2


def test_a_save_that_fails_leaves_the_old_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(serialization, "write_json", no_room)
    with pytest.raises(OSError, match="no space left"):
        untrained(fill=2).save(folder)
    assert load_model(folder).arrays()["layer0.weight"][0, 0] == 0.5
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mlp"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "call", ["serialization.write_bytes", "serialization.write_json", "files.exchange"]
)
def test_a_kill_leaves_the_old_model_and_the_next_save_sweeps(
    folder: Path, call: str, project: Path
) -> None:
    # given a process that is killed in the middle of a save
    program = (
        "import os, signal, sys; sys.path[:0] = ['.', 'tests']\n"
        "from test_models_store import untrained; from genre.core import files\n"
        "from genre.models import serialization\n"
        f"{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"untrained(fill=2).save({str(folder)!r})"
    )
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([sys.executable, "-c", program], cwd=project, env=environment)
    # then the old model is unchanged, and the next save removes the partial one
    assert ended.returncode == -signal.SIGKILL
    assert load_model(folder).arrays()["layer0.weight"][0, 0] == 0.5
    untrained(fill=2).save(folder)
    assert load_model(folder).arrays()["layer0.weight"][0, 0] == 2
    assert [path.name for path in folder.parent.iterdir()] == ["mlp"]
