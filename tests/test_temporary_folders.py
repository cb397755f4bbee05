"""Temporary folders of commands are removed at their end, those of killed ones by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import processes

HOLD = """
import time
from runner import processes
with processes.temporary_folder() as (path, _):
    (path / "left.bin").write_bytes(b"half")
    print(path, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files of this test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another running command, which has written half a file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def folder_of(holder: subprocess.Popen[str]) -> Path:
    assert holder.stdout is not None
    return Path(holder.stdout.readline().strip())


def test_temporary_files_of_a_command_are_removed_at_its_end(scratch: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    script = "import tempfile; print(tempfile.mkdtemp())"

    code = processes.run([sys.executable, "-c", script], cwd=tmp_path, on_line=lines.append)

    assert code == 0
    assert Path(lines[0]).parent.name.startswith(processes.TEMPORARY_PREFIX)
    assert list(scratch.iterdir()) == []


def test_a_running_command_keeps_its_folder(holder: subprocess.Popen[str]) -> None:
    path = folder_of(holder)

    processes.remove_unlocked_folders()

    assert (path / "left.bin").is_file()


def test_the_folder_of_a_killed_command_is_removed_by_the_next(
    holder: subprocess.Popen[str], scratch: Path
) -> None:
    path = folder_of(holder)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert path.exists()

    with processes.temporary_folder() as (mine, _):
        assert list(scratch.iterdir()) == [mine]


def test_only_folders_of_commands_are_removed(scratch: Path, tmp_path: Path) -> None:
    keep = tmp_path / "outside"
    keep.mkdir()
    (scratch / f"{processes.TEMPORARY_PREFIX}file").write_text("a file")
    (scratch / f"{processes.TEMPORARY_PREFIX}link").symlink_to(keep)
    before = sorted(scratch.iterdir())

    processes.remove_unlocked_folders()

    assert sorted(scratch.iterdir()) == before
