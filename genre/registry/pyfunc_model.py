"""The pyfunc model that MLflow loads for `models:/<name>@champion`.

MLflow copies this file and the `genre` modules that it needs into the model ("models from code");
nothing is unpickled. Input: a table with a column `path` (audio files) or
`audio` (their content: bytes, or base64 text). Output: one row per song, `genre`, `probability`,
`top` (list of `{genre, probability}`, most likely first), `seconds` (the length that was decoded),
and with `timeline` also `timeline`, a list of `{start_s, probabilities}`, one per 3 s segment; with
`tags` above 0 as many `{tag, activation}`, if the model predicts any. A song that cannot be
classified is an error that names the row and, over HTTP, has the status 400.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from genre.classifier import TOP, Classifier
from genre.core.errors import InputError, ParameterError

COLUMNS = ["genre", "probability", "top", "seconds"]
MAX_BYTES = 100 * 10**6  # of one song's content


class RequestError(MlflowException, InputError):
    """A request that cannot be served; MLflow's server passes its message on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_code=INVALID_PARAMETER_VALUE)


class SongModel(PythonModel):
    """`genre.classifier.Classifier` behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights in the model."""
        self.classifier = Classifier.from_folder(Path(context.artifacts["model"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow passes it by name
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Classify one song per row; raises `RequestError`, which names the row, if one fails.

        `params`: `top` (how many genres, default 3), `timeline` (default false) and `tags` (how
        many, default 0).
        """
        chosen = params or {}
        top, timeline = int(chosen.get("top", TOP)), bool(chosen.get("timeline", False))
        tags = int(chosen.get("tags", 0))
        if top < 1:
            raise RequestError(f"top is {top}, expected at least 1")
        rows = []
        for number, source in enumerate(sources(model_input)):
            try:
                prediction = self.classifier.classify(source, top=top, timeline=timeline, tags=tags)
            except ParameterError as error:
                raise RequestError(str(error)) from error
            except InputError as error:
                name = source if isinstance(source, Path) else "its audio"
                raise RequestError(f"row {number}: {name} {error}") from error
            rows.append(prediction.as_dict())
        more = [name for name, wanted in (("timeline", timeline), ("tags", tags)) if wanted]
        return pd.DataFrame(rows, columns=[*COLUMNS, *more])


def sources(model_input: Any) -> list[Path | bytes]:
    """The songs, one per row: paths, or the content of files.

    Takes a table with a column `path` or `audio` (or both, one of them filled in each row), or a
    plain list or Series of paths. Raises `RequestError` for anything else.
    """
    if not isinstance(model_input, pd.DataFrame):
        model_input = pd.DataFrame({"path": list(model_input)})
    columns = [name for name in ("path", "audio") if name in model_input.columns]
    if not columns:
        found = ", ".join(map(str, model_input.columns)) or "no such column"
        raise RequestError(
            f"found {found}; expected the column path (audio files) or audio (their bytes, or "
            "base64 text)"
        )
    return [
        _source(number, row) for number, row in enumerate(model_input[columns].to_dict("records"))
    ]


def _source(number: int, row: dict[Any, Any]) -> Path | bytes:
    path, audio = row.get("path"), row.get("audio")
    if isinstance(path, str | Path) and str(path):
        return Path(path)
    if isinstance(audio, str) and audio:
        try:
            audio = base64.b64decode("".join(audio.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise RequestError(f"row {number}: audio is not base64 text ({error})") from error
    if not isinstance(audio, bytes | bytearray | memoryview):
        raise RequestError(f"row {number}: neither path nor audio is filled in")
    if len(audio) > MAX_BYTES:
        raise RequestError(
            f"row {number}: its audio has {len(audio) / 10**6:.0f} MB, expected at most "
            f"{MAX_BYTES / 10**6:.0f}; send a shorter song, or a compressed one"
        )
    return bytes(audio)


set_model(SongModel())
