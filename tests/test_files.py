"""Atomic writes of files and folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from genre.core.files import (
    atomic_folder,
    atomic_path,
    remove_leftovers,
    write_json,
    write_parquet,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    with atomic_folder(folder) as temporary:
        (temporary / "old").touch()

    with pytest.raises(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "new").touch()
        raise RuntimeError

    assert os.listdir(folder) == ["old"]
    assert os.listdir(tmp_path) == ["clips"]


def test_a_finished_folder_replaces_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for name in ("old", "new"):
        with atomic_folder(folder) as temporary:
            (temporary / name).touch()

    assert os.listdir(folder) == ["new"]
    assert os.listdir(tmp_path) == ["clips"]
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


WRITE = """
import os, signal, sys
from genre.core.files import atomic_folder, atomic_path
write = {"file": atomic_path, "folder": atomic_folder}[sys.argv[1]]
with write(sys.argv[2]) as temporary:
    half = temporary / "half" if temporary.is_dir() else temporary
    half.write_text("theirs")
    half.with_name("beside").touch()
    if sys.argv[3] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    input()
"""
WRITE_OFTEN = """
import sys
from genre.core import files
for number in range(60):
    files._remove_file_leftovers.cache_clear()
    files.write_text(sys.argv[1], sys.argv[2] * 1000)
"""


def kill_in_a_write(kind: str, path: Path) -> None:
    """Kill a process that writes a file or folder."""
    done = subprocess.run([sys.executable, "-c", WRITE, kind, str(path), "killed"], check=False)
    assert done.returncode == -signal.SIGKILL


def test_leftovers_of_a_killed_folder_write_are_removed_by_the_next_write(tmp_path: Path) -> None:
    kill_in_a_write("folder", tmp_path / "clips")
    assert len(os.listdir(tmp_path)) == 1

    with atomic_folder(tmp_path / "clips") as temporary:
        (temporary / "whole").touch()

    assert os.listdir(tmp_path) == ["clips"]
    assert os.listdir(tmp_path / "clips") == ["whole"]


def test_leftovers_of_a_folder_with_a_longer_name_are_not_removed(tmp_path: Path) -> None:
    for name in ("clips-short", "clips.wav", "log"):
        kill_in_a_write("folder", tmp_path / name)
    kill_in_a_write("file", tmp_path / "clips")
    others = set(os.listdir(tmp_path))
    assert len(others) == 4

    with atomic_folder(tmp_path / "clips"):
        pass

    assert set(os.listdir(tmp_path)) == {"clips"} | others
    remove_leftovers(tmp_path / "clips-short")
    assert len(os.listdir(tmp_path)) == 4


def test_leftovers_of_a_killed_file_write_are_removed_by_the_next_process(tmp_path: Path) -> None:
    kill_in_a_write("folder", tmp_path / "models")
    folder = os.listdir(tmp_path)
    kill_in_a_write("file", tmp_path / "a.csv")
    assert len(os.listdir(tmp_path)) == 2

    write_text(tmp_path / "b.csv", "whole")

    assert sorted(os.listdir(tmp_path)) == [*folder, "b.csv"]


def test_a_file_that_another_process_is_writing_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    command = [sys.executable, "-c", WRITE, "file", str(path), "held"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writing\n"

        write_text(path, "ours")

        assert path.read_text() == "ours"
        assert len(os.listdir(tmp_path)) == 2
        other.communicate("\n", timeout=60)
    assert other.returncode == 0
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_temporary_folder_that_is_removed_before_it_is_locked_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = tempfile.mkdtemp, list[str]()

    def make_and_lose(**options: str) -> str:
        made.append(make(**options))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)

    write_text(tmp_path / "a.csv", "whole")

    assert len(made) == 2
    assert os.listdir(tmp_path) == ["a.csv"]


def test_processes_that_write_one_file_and_remove_leftovers_all_the_time_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE_OFTEN, str(path), letter]) for letter in "abc"
    ]

    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert path.read_text() in {letter * 1000 for letter in "abc"}
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "whole")
    (tmp_path / "plain").touch()

    assert (tmp_path / "a.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})

    for name in ("1.parquet", "2.parquet"):
        write_parquet(tmp_path / name, table)

    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_json_never_contains_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"accuracy": float("nan")})
    assert os.listdir(tmp_path) == []
