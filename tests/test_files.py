"""Files are the old ones or the new ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from genre.files import atomic_folder, atomic_path, sweep, write_json, write_parquet, write_text


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


def test_a_finished_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for name in ("old", "new"):
        with atomic_folder(folder) as temporary:
            (temporary / name).touch()

    assert os.listdir(folder) == ["new"]
    assert os.listdir(tmp_path) == ["clips"]
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_a_kill_left_is_swept_by_the_next_write(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    script = f"""
import os, signal
from genre.files import atomic_folder
with atomic_folder({str(folder)!r}) as temporary:
    (temporary / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 1
    other = tmp_path / ".incomplete-other-1"
    other.mkdir()

    with atomic_folder(folder) as temporary:
        (temporary / "whole").touch()

    assert sorted(os.listdir(tmp_path)) == [".incomplete-other-1", "clips"]
    sweep(tmp_path / "other")
    assert os.listdir(tmp_path) == ["clips"]


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})

    for name in ("1.parquet", "2.parquet"):
        write_parquet(tmp_path / name, table)

    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_json_never_holds_a_number_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"accuracy": float("nan")})
    assert os.listdir(tmp_path) == []
