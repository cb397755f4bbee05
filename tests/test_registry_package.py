"""The registered model predicts anywhere: with its own code and weights, nothing pickled."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from registry_project import GENRES, Project, registered

from genre.audio import SAMPLE_RATE
from genre.classifier import Classifier
from genre.core.errors import InputError
from genre.registry import package

ASK = """
import json, sys
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/music-genre@champion")
predictions = model.predict(pandas.DataFrame({"path": sys.argv[2:]}), params={"top": 2})
import genre
unwanted = sorted(name for name in ("torch", "prefect", "dvc") if name in sys.modules)
print(json.dumps([genre.__file__, predictions.to_dict("records"), unwanted]))
"""


@pytest.fixture(scope="module")
def project() -> Project:
    """A project with a champion."""
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        os.environ.pop(variable, None)
    return registered(())


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song of 7 s."""
    t = np.arange(7 * SAMPLE_RATE) / SAMPLE_RATE
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * 330 * t), SAMPLE_RATE)
    return path


def model_folder(project: Project) -> Path:
    return project.root / "mlruns/artifacts/models" / project.receipt["model_id"] / "artifacts"


def uri(project: Project) -> str:
    return f"sqlite:///{project.root}/mlruns/mlflow.db"


def load(project: Project) -> Any:
    """The champion, loaded by MLflow in this process."""
    import mlflow

    mlflow.set_tracking_uri(uri(project))
    return mlflow.pyfunc.load_model("models:/music-genre@champion")


def predict(python: Path, project: Project, song: Path, *options: str) -> list[Any]:
    """Ask the champion in a new process, in an empty folder, without this project."""
    empty = song.parent / "empty"
    empty.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DVC"))}
    environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    done = subprocess.run(
        [python, *options, "-c", HIDE + ASK, uri(project), str(song)],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    prediction: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return prediction


# An editable install puts the project on the path by a finder of its own.
HIDE = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
"""


@pytest.mark.slow
def test_the_model_predicts_without_the_project_like_the_classifier(
    project: Project, song: Path
) -> None:
    code, predictions, unwanted = predict(Path(sys.executable), project, song, "-I")

    expected = Classifier.from_folder(project.root / "classifier").classify(song, top=2)
    assert code == str(model_folder(project) / "code/genre/__init__.py")
    assert predictions == [expected.as_dict()]
    assert unwanted == []


@pytest.mark.slow
def test_the_model_predicts_in_an_environment_made_from_its_own_requirements(
    project: Project, song: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "environment")
    python = tmp_path / "environment/bin/python"
    requirements = model_folder(project) / "requirements.txt"
    uv = Path(sys.executable).parent / "uv"
    install = [uv, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*install, "-r", requirements], check=True, timeout=550)

    code, predictions, _ = predict(python, project, song)

    expected = Classifier.from_folder(project.root / "classifier").classify(song, top=2)
    assert code == str(model_folder(project) / "code/genre/__init__.py")
    assert predictions[0]["genre"] == expected.genre
    assert predictions[0]["probability"] == pytest.approx(expected.probability, abs=1e-6)


def test_nothing_in_the_model_is_pickled(project: Project) -> None:
    folder = model_folder(project)

    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}  # left by whoever loaded it

    assert {Path(name).suffix for name in files} == {
        "",
        ".csv",
        ".json",
        ".md",
        ".py",
        ".safetensors",
        ".txt",
        ".yaml",
    }
    assert {
        "MLmodel",
        "model_card.md",
        "input_example.json",
        "artifacts/training_songs.json",
        "artifacts/model/classifier.json",
        "artifacts/model/mlp/model.json",
        "code/genre/models/mlp.py",
    } <= files


def test_only_the_code_that_the_model_needs_travels(project: Project) -> None:
    code = model_folder(project) / "code"

    modules = {path.relative_to(code).parts[1] for path in code.rglob("*.py")}

    assert {"audio", "classifier", "features", "models"} <= modules
    assert not modules & {"registry", "evaluation", "catalogue.py", "demo", "cli.py"}


def test_the_requirements_are_explicit_and_pinned(project: Project) -> None:
    lines = (model_folder(project) / "requirements.txt").read_text().splitlines()

    assert lines == package.requirements()
    assert all("==" in line for line in lines)
    assert not any(line.startswith("torch") for line in lines)


def test_networks_on_pictures_need_torch() -> None:
    more = set(package.requirements(["log_mel", "features_3s"])) - set(package.requirements())

    assert {line.partition("==")[0] for line in more} == {"torch"}


def test_pretrained_networks_need_torch() -> None:
    more = set(package.requirements(pretrained=True)) - set(package.requirements())

    assert {line.partition("==")[0] for line in more} == {"torch"}


def test_the_signature_names_input_output_and_params(project: Project) -> None:
    signature = load(project).metadata.signature

    assert signature.inputs.input_names() == ["path", "audio"]
    assert signature.inputs.required_input_names() == []
    outputs = ["genre", "probability", "top", "seconds", "timeline", "tags"]
    assert signature.outputs.input_names() == outputs
    assert signature.outputs.required_input_names() == outputs[:4]
    assert {param.name: param.default for param in signature.params.params} == {
        "top": 3,
        "timeline": False,
        "tags": 0,
    }


def test_the_input_example_can_be_predicted(project: Project) -> None:
    model = load(project)

    predictions = model.predict(model.input_example)

    assert predictions.loc[0, "seconds"] == 1
    assert predictions.loc[0, "genre"] in GENRES


def test_paths_bytes_and_base64_text_give_the_same_prediction(project: Project, song: Path) -> None:
    model = load(project)
    content = song.read_bytes()

    by_path = model.predict(pd.DataFrame({"path": [str(song)], "title": ["ignored"]}))
    by_series = model.predict(pd.Series([str(song)], name="path"))
    by_bytes = model.predict(pd.DataFrame({"audio": [content]}))
    by_text = model.predict(pd.DataFrame({"audio": [base64.b64encode(content).decode()]}))

    expected = by_path.to_dict("records")
    assert [set(row) for row in expected] == [{"genre", "probability", "top", "seconds"}]
    assert len(expected[0]["top"]) == 3
    for predictions in (by_series, by_bytes, by_text):
        assert predictions.to_dict("records") == expected


def test_the_timeline_is_returned_if_requested(project: Project, song: Path) -> None:
    songs = pd.DataFrame({"path": [str(song), str(song)]})

    predictions = load(project).predict(songs, params={"timeline": True, "top": 1})

    assert len(predictions) == 2
    assert [moment["start_s"] for moment in predictions.loc[0, "timeline"]] == [0, 3, 4]
    assert [len(top) for top in predictions["top"]] == [1, 1]


def test_the_model_itself_also_takes_a_plain_list_of_paths(project: Project, song: Path) -> None:
    model = load(project).unwrap_python_model()

    predictions = model.predict(None, [str(song)], {"top": 1})

    assert predictions.loc[0, "seconds"] == 7


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"file": ["song.wav"]}, "found file; expected the column path .* or audio"),
        ({"path": ["nowhere.wav"]}, r"row 0: nowhere\.wav cannot be opened"),
        ({"audio": ["not base64!"]}, "row 0: audio is not base64 text"),
        ({"audio": ["ünïcode"]}, "row 0: audio is not base64 text"),
        ({"audio": [b"not a song"]}, "row 0: its audio is not audio"),
        ({"audio": [b""]}, r"row 0: its audio is empty \(0 bytes\)"),
        ({"audio": [bytes(100_000_001)]}, "row 0: its audio has 100 MB, expected at most 100"),
        ({"path": [None], "audio": [None]}, "row 0: neither path nor audio"),
        ({"path": [float("nan")]}, "row 0: neither path nor audio"),
    ],
)
def test_a_song_that_cannot_be_decoded_is_an_error_with_its_row(
    project: Project, table: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        load(project).unwrap_python_model().predict(None, pd.DataFrame(table), None)

    assert raised.value.get_http_status_code() == 400  # type: ignore[attr-defined]


def test_text_is_not_a_song_whatever_its_name(project: Project, song: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_text("These are words.\n" * 100)

    with pytest.raises(InputError, match=r"row 1: .*song\.mp3 is not audio"):
        load(project).predict(pd.DataFrame({"path": [str(song), str(path)]}))


def test_an_empty_table_is_not_an_error(project: Project) -> None:
    predictions = load(project).unwrap_python_model().predict(None, pd.DataFrame({"path": []}))

    assert list(predictions.columns) == ["genre", "probability", "top", "seconds"]
    assert predictions.empty


def test_top_below_one_is_refused(project: Project, song: Path) -> None:
    with pytest.raises(InputError, match="top is 0, expected at least 1"):
        load(project).predict(pd.DataFrame({"path": [str(song)]}), params={"top": 0})


def test_reading_the_imports_imports_nothing() -> None:
    code = (
        "import sys\n"
        "from genre.registry.package import needed_modules\n"
        "files = needed_modules('genre.models.mlp')\n"
        "assert any(path.name == 'training.py' for path in files)\n"
        "assert not {'torch', 'mlflow', 'genre.models.training'} & set(sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent.parent, check=False
    )

    assert done.returncode == 0
