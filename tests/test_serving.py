"""The champion answers over HTTP, and what it cannot answer is a status 400 with the reason."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from registry_project import Project, registered
from songs import tone, write

from benchmarks.inference import request, served
from genre.classifier import Classifier

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project() -> Project:
    """A project with a champion."""
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        os.environ.pop(variable, None)
    return registered(())


@pytest.fixture(scope="module")
def url(project: Project) -> Iterator[str]:
    """Where MLflow serves the champion."""
    with served(root=project.root) as address:
        yield address


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("songs") / "song.flac", tone(7))


def ask(url: str, **content: Any) -> tuple[int, Any]:
    """The status and the answer to a request."""
    headers = {"Content-Type": "application/json"}
    question = Request(f"{url}/invocations", json.dumps(content).encode(), headers)
    try:
        with urlopen(question, timeout=120) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_song_is_answered_by_its_content(url: str, project: Project, song: Path) -> None:
    status, answer = ask(
        url,
        dataframe_records=[{"audio": text(song.read_bytes())}],
        params={"top": 2, "timeline": True},
    )

    expected = Classifier.from_folder(project.root / "classifier").classify(
        song, top=2, timeline=True
    )
    assert status == 200
    assert answer["predictions"] == json.loads(json.dumps([expected.as_dict()]))
    assert request(url, song) < 60


def test_what_cannot_be_answered_is_told_with_its_reason(url: str) -> None:
    words = text(b"These are words, and no music at all.\n" * 50)
    cases = {
        words: "row 0: its audio is not audio",
        "": "row 0: its audio is empty",
        text(bytes(100_000_001)): "row 0: its audio has 100 MB, expected at most 100",
    }

    for audio, reason in cases.items():
        status, answer = ask(url, dataframe_records=[{"audio": audio}])
        assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
        assert reason in answer["message"]
    status, answer = ask(url, dataframe_records=[{"path": "/no/such/song.mp3"}])
    assert (status, "cannot be opened" in answer["message"]) == (400, True)


def test_a_request_that_is_wrong_in_form_is_refused_and_the_next_one_answered(
    url: str, song: Path
) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"audio": "A"}, "Invalid base64-encoded string"),
        ({"audio": "%%%"}, "its audio is empty"),
        ({"audio": 5}, "Failed to convert column audio"),
        ({"song": "x"}, "expected the column path"),
        ({}, "expected the column path"),
    ]

    for content, reason in cases:
        status, answer = ask(url, dataframe_records=[content])
        assert status == 400
        assert reason in answer["message"]

    status, _ = ask(url, dataframe_records=[{"audio": text(song.read_bytes())}])
    assert status == 200
