"""Commands in messages can be pasted into a shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from genre.core import messages


def test_a_command_of_the_environment_is_named_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.chdir(tmp_path)
    assert messages.command("genre models --history") == ".venv/bin/genre models --history"


def test_from_another_folder_the_whole_path_is_named_and_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my music/.venv/bin/python"))
    assert messages.command("dvc pull") == f"'{tmp_path}/my music/.venv/bin/dvc' pull"


def test_make_is_expected_on_the_path() -> None:
    assert messages.command("make run") == "make run"


def test_settings_of_one_command_are_quoted() -> None:
    shown = messages.command("python -c 'import os; print(os.environ[\"STORE\"])'", STORE="a b")
    printed = subprocess.run(shown, shell=True, capture_output=True, text=True, check=True)
    assert printed.stdout == "a b\n"


def test_a_step_is_named_with_the_command_that_runs_it() -> None:
    expected = f"run the step trim again ({messages.command('dvc repro trim')})"
    assert messages.run_step("trim", "again") == expected
