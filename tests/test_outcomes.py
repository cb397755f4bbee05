"""The status file of a step."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from genre.core.errors import GenreError, InputError
from tasks.io import outcomes, step
from tasks.io.outcomes import StepError

STAGE = "train@mlp"


@pytest.fixture
def root(in_new_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which DVC runs the step `train@mlp` in this process."""
    monkeypatch.setenv(outcomes.STAGE, STAGE)
    monkeypatch.setattr(outcomes, "_left_out", [])
    return in_new_project


def test_a_finished_step_writes_its_summary_and_prints_its_time(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    since = time.time()

    def work(_params: object, _root: Path) -> str:
        outcomes.set_aside("rock/x.mp3 is silent")
        return "trained"

    assert step.step(work, root) == 0

    outcome = outcomes.read(STAGE, root, since - 1000)
    assert outcome is not None
    assert (outcome.state, outcome.summary, outcome.error) == ("ran", "trained", None)
    assert outcome.set_aside == ("rock/x.mp3 is silent",)
    first, aside, summary, last = capsys.readouterr().out.splitlines()
    assert (first, aside, summary) == (
        "train@mlp …",
        "set aside: rock/x.mp3 is silent",
        "trained",
    )
    assert last == f"train@mlp: {outcomes.duration(outcome.seconds)}"


@pytest.mark.parametrize(
    ("raised", "code", "kind", "message"),
    [
        (InputError("params.yaml: seed is 1.5\nexpected 1"), 2, InputError, "params.yaml: seed"),
        (GenreError("https://me:secret@host is away"), 1, StepError, "https://…@host is away"),
        (KeyError("x"), 1, StepError, "unexpected KeyError: 'x' in "),
    ],
)
def test_a_failed_step_writes_its_error_and_whether_it_may_be_retried(
    root: Path, raised: Exception, code: int, kind: type[GenreError], message: str
) -> None:
    def work(_params: object, _root: Path) -> str:
        raise raised

    assert step.step(work, root) == code

    outcome = outcomes.read(STAGE, root, 0.0)
    assert outcome is not None
    assert outcome.state == "failed"
    assert type(outcome.error) is kind
    assert str(outcome.error).startswith(f"{STAGE}: {message}")
    assert json.loads((root / outcomes.FOLDER / f"{STAGE}.json").read_text())["exit_code"] == code


def test_a_killed_step_is_recognised_by_the_state_running(root: Path) -> None:
    outcomes.begin(root)

    outcome = outcomes.read(STAGE, root, 0.0)

    assert outcome is not None
    assert "train@mlp: was killed" in str(outcome.error)
    assert not isinstance(outcome.error, InputError)


def test_the_file_of_an_earlier_run_is_ignored(root: Path) -> None:
    step.step(lambda _params, _root: "trained", root)

    assert outcomes.read(STAGE, root, time.time() + 1) is None
    assert outcomes.read("ingest", root, 0.0) is None


def test_a_status_file_that_cannot_be_written_does_not_stop_the_step(root: Path) -> None:
    (root / ".cache").write_text("a file where the folder would be")

    assert step.step(lambda _params, _root: "trained", root) == 0


def test_without_dvc_nothing_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(outcomes.STAGE)

    assert step.step(lambda _params, _root: "trained", root) == 0

    assert capsys.readouterr().out == "trained\n"
    assert not (root / ".cache").exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (9.94, "9.9 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185.2, "3 min 05 s")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert outcomes.duration(seconds) == text
