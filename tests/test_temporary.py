"""Temporary files of a command: they go with it, and a killed one's with the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import processes, temporary

HOLD = """
import time
from runner import temporary
with temporary.folder() as (path, _):
    (path / "left.bin").write_bytes(b"half")
    print(path, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of this test go."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def holder() -> Iterator[subprocess.Popen[str]]:
    """Another command that is at work, and has written half a file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def folder_of(holder: subprocess.Popen[str]) -> Path:
    assert holder.stdout is not None
    return Path(holder.stdout.readline().strip())


def test_what_a_command_writes_in_passing_goes_with_it(scratch: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    script = "import tempfile; print(tempfile.mkdtemp())"

    code = processes.run([sys.executable, "-c", script], cwd=tmp_path, on_line=lines.append)

    assert code == 0
    assert Path(lines[0]).parent.name.startswith(temporary.PREFIX)
    assert list(scratch.iterdir()) == []


def test_a_command_at_work_keeps_its_folder(holder: subprocess.Popen[str]) -> None:
    path = folder_of(holder)

    temporary.sweep()

    assert (path / "left.bin").is_file()


def test_what_a_killed_command_left_goes_with_the_next(
    holder: subprocess.Popen[str], scratch: Path
) -> None:
    path = folder_of(holder)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert path.exists()

    with temporary.folder() as (mine, _):
        assert list(scratch.iterdir()) == [mine]


def test_nothing_but_folders_of_commands_is_swept(scratch: Path, tmp_path: Path) -> None:
    keep = tmp_path / "outside"
    keep.mkdir()
    (scratch / f"{temporary.PREFIX}file").write_text("a file")
    (scratch / f"{temporary.PREFIX}link").symlink_to(keep)
    before = sorted(scratch.iterdir())

    temporary.sweep()

    assert sorted(scratch.iterdir()) == before
