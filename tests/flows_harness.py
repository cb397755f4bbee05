"""Small DVC projects with steps of a few lines, for the tests of runner and flows."""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from runner.processes import is_alive

STEP = Path(__file__).with_name("shell_step.py")
# A step in shell: prints lines, works, prints its summary.
CHAIN = {
    "ingest": {
        "cmd": "echo 'reading'; cat data/raw/*/* > data/catalogue; echo '2 songs in 1 genre'",
        "deps": ["data/raw"],
        "outs": ["data/catalogue"],
    },
    "spectrograms": {
        "cmd": "cp data/catalogue data/spectrograms; echo '2 pictures'",
        "deps": ["data/catalogue"],
        "outs": ["data/spectrograms"],
    },
    "features": {
        "cmd": "cp data/catalogue data/features; echo '2 clips'",
        "deps": ["data/catalogue"],
        "outs": ["data/features"],
    },
    "train": {
        "matrix": {"model": "${train.models}"},
        "cmd": "mkdir -p models; cp data/features models/${item.model}; echo 'trained'",
        "deps": ["data/features"],
        "outs": ["models/${item.model}"],
    },
}


def dvc(root: Path, *arguments: str) -> str:
    """Run DVC in a project and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def write_stages(root: Path, stages: dict[str, dict[str, object]]) -> None:
    """Write `dvc.yaml`; each command of a step is run by `shell_step.py`."""
    wrapped = {
        name: {**stage, "cmd": f"{sys.executable} {STEP} {shlex.quote(str(stage['cmd']))}"}
        for name, stage in stages.items()
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": wrapped}, sort_keys=False))


@functools.cache
def template() -> Path:
    """An empty git and DVC project with two songs of text, versioned; made once and copied."""
    root = Path(tempfile.mkdtemp(prefix="dvc-template-"))
    atexit.register(_remove, root, os.getpid())
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    dvc(root, "init", "--quiet")
    add_song(root, "blues", "one")
    add_song(root, "blues", "two")
    dvc(root, "add", "--quiet", "data/raw")
    return root


def _remove(folder: Path, owner: int) -> None:
    """Remove a folder at the end of the process that made it, not of one forked from it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def make_project(
    root: Path, stages: dict[str, dict[str, object]] | None = None, *, models=("mlp",)
) -> Path:
    """Make a DVC project with two songs of text, versioned, and the given steps."""
    shutil.copytree(template(), root, dirs_exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump({"train": {"models": list(models)}}))
    write_stages(root, CHAIN if stages is None else stages)
    return root


def add_song(root: Path, genre: str, name: str) -> None:
    """Put one more song of text into the collection."""
    folder = root / "data" / "raw" / genre
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(f"{name}\n")


def alive(pid_file: Path) -> bool:
    """Whether the process whose id is in a file is alive."""
    try:
        return is_alive(psutil.Process(int(pid_file.read_text())))
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds: float = 30.0) -> None:
    """Wait until `condition()` is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.05)
