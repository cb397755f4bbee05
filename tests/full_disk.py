"""Run steps on a full disk: under a limit on file sizes, or on a small disk.

Importing the libraries takes longer than a step on a few songs. So one process imports them, and
each step runs, like `python -m tasks.STEP`, in a process forked from it. This file is also that
process: it reads commands as lines of JSON, and returns exit code and output.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import json
import os
import resource
import runpy
import shutil
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import yaml
from params_file import change_params
from songs import tone, write, write_collection

CHECKOUT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    *("pyarrow.parquet", "pandas", "soundfile", "torch", "librosa", "sklearn.svm"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "sympy", "cleanlab"),
    *("mlflow.pyfunc", "pebble", "safetensors.numpy"),
)
MODELS = ("mlp",)
MODULES = {"genre": "genre.cli", "run": "runner.run"}  # of what is not a step
MOUNT = Path("/mnt")
SMALL_DISK_BYTES = 128 << 20
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def serve(mounted: bool) -> None:
    """Run commands until the input ends."""
    if mounted:
        size = f"size={SMALL_DISK_BYTES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", MOUNT], check=True)
    from genre.registry.client import configure

    configure()
    for name in LIBRARIES:
        importlib.import_module(name)
    print(flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            for stream in (sys.stdout, sys.stderr):
                os.dup2(writing, stream.fileno())
            os.close(writing)
            work(**order)
        os.close(writing)
        with os.fdopen(reading, errors="replace") as pipe:
            printed = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([code, printed]), flush=True)


def work(root: str, module: str, arguments: list[str], limit: int | None) -> NoReturn:
    """Run a module in the project at `root`, its files at most `limit` bytes long, and exit.

    The end is told as Python does; only the libraries are not taken apart one by one.
    """
    os.chdir(root)
    sys.argv = [module, *arguments]
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass
class Machine:
    """A place to run steps in; `home` is its folder, with the same path inside."""

    process: subprocess.Popen[str]
    home: Path
    inside: Path

    def run(self, name: str, step: str, limit: int | None = None) -> tuple[int, str]:
        """Run a step (`train mlp`), or `genre …`, in the project `name`: exit code and output."""
        program, *arguments = step.split()
        order = {
            "root": str(self.inside / name),
            "module": MODULES.get(program, f"tasks.{program}"),
            "arguments": arguments,
            "limit": limit,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        code, printed = json.loads(self.process.stdout.readline())
        return code, printed

    @contextlib.contextmanager
    def full_but_for(self, size: int) -> Iterator[None]:
        """Fill the small disk so that `size` bytes are left on it."""
        filler = self.home / "filler"
        usage = shutil.disk_usage(self.home)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, usage.free - size)
        try:
            yield
        finally:
            filler.unlink()


def may_mount() -> bool:
    """Whether this process may mount a small disk in a private namespace."""
    command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(MOUNT)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def machine(home: Path | None) -> Iterator[Machine]:
    """A machine at the folder `home`; on a small disk of its own where that is null."""
    prefix = [] if home else NAMESPACE
    words = [] if home else ["mount"]
    environment: dict[str, Any] = {
        **{key: text for key, text in os.environ.items() if not key.startswith("DVC_")},
        "PYTHONPATH": str(CHECKOUT),
        "DVC_NO_ANALYTICS": "1",
    }
    process = subprocess.Popen(
        [*prefix, sys.executable, __file__, *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "\n"
            seen = home or Path(f"/proc/{process.pid}/root{MOUNT}")
            yield Machine(process, seen, home or MOUNT)
        finally:
            process.communicate(timeout=60)


def steps() -> dict[str, list[str]]:
    """Every step of `dvc.yaml` with what it writes; without register, and the step train once."""
    found = {}
    for name, stage in yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"].items():
        parts = [part for kind in ("outs", "metrics", "plots") for part in stage.get(kind, [])]
        outs = [part if isinstance(part, str) else next(iter(part)) for part in parts]
        for model in MODELS if "matrix" in stage else [""]:
            key = f"{name} {model}".strip()
            found[key] = [out.replace("${item.model}", model) for out in outs]
    del found["register"], found["train_pictures mlp"]
    return found


def write_project(root: Path) -> None:
    """Six songs of 6 s, and parameters with which every step writes something quickly."""
    write_collection(root / "data/raw", genres=("jazz", "pop"), songs=3)
    for number, genre in enumerate(("jazz", "pop")):
        y = tone(7.0, seed=900 + number)
        write(root / f"data/new_songs/{genre}/new{number}.wav", y.astype(np.float32))
    changes = {
        "train.models": list(MODELS),
        "train.folds": 2,
        "train.mlp.hidden": [8],
        "train.mlp.max_epochs": 2,
        "train.mlp.patience": 1,
        "evaluate.bootstrap_samples": 100,
        "features.families": ["report", "extended"],
        "features.csv": True,
        "compute.workers": 1,
    }
    change_params(root, changes, start=CHECKOUT)


def tree(root: Path) -> dict[str, str]:
    """Every file of a project with the hash of its content; what is remembered apart.

    The MLflow store is left out: each training adds its record.
    """
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".cache", "mlruns"} & set(path.parts)
    }


def below(files: dict[str, str], out: str) -> dict[str, str]:
    """The part of a tree that is `out` or lies in it."""
    return {path: sha for path, sha in files.items() if path == out or path.startswith(f"{out}/")}


def registered(root: Path, copy: Path) -> dict[str, list[tuple[object, ...]]]:
    """Versions and aliases in the MLflow store of a project, as they stand on the disk."""
    shutil.copyfile(root / "mlruns/mlflow.db", copy)
    with contextlib.closing(sqlite3.connect(copy)) as database:
        return {
            table: database.execute(f"SELECT version{more} FROM {table}").fetchall()
            for table, more in (("model_versions", ""), ("registered_model_aliases", ", alias"))
        }


if __name__ == "__main__":
    serve("mount" in sys.argv[1:])
    os._exit(0)
