"""Kill a whole run of the pipeline at some moment, and collect what is left.

A `Lane` is a project at its own path (the registry holds absolute paths) that can be reset, so that
the same run can be killed at many moments, in two lanes in parallel.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import yaml

STARTED = re.compile(r"(\S+) …")
ENDED = re.compile(r"(\S+): (?:[\d.]+ (?:s|min)|up to date|restored|failed).*")
# Of one run or lane only: locks, ids and times, the order of work, the number of workers.
NOT_COMPARED = (".git/", ".dvc/tmp/", ".cache/", "mlruns/", "dvc.lock", "params.yaml")
OF_ONE_RUN = ("run_id", "model_id")  # in the receipt
RECEIPT = "mlruns/registered.json"
FINISHED, READY = "FINISHED", 2  # of an MLflow run, of its logged model


@dataclass
class Found:
    """The result of a run: bytes that must be equal, and leftovers."""

    artifacts: dict[str, str]
    registry: dict[str, object]
    temporary: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)


@dataclass
class Round:
    """One kill: when, in which step it landed, and what the next run left."""

    scene: str
    moment: float
    everything: bool  # the whole process tree, or only the run's process group
    step: str = ""
    code: int | None = None
    printed: str = ""
    found: Found | None = None

    def __str__(self) -> str:
        how = "all processes" if self.everything else "its group"
        return f"{self.scene}, {how} killed after {self.moment:.2f} s in {self.step}"


class Lane:
    """The project at `folder/project`, with temporary files and DVC's locks of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.temporary = folder / "tmp"
        self.folder = folder
        self.temporary.mkdir(parents=True)

    def keep(self, name: str) -> None:
        """Save the state of the project."""
        shutil.copytree(self.root, self.folder / name, symlinks=True)

    def put_back(self, name: str) -> None:
        """Restore the project, and remove files outside of it."""
        for used in (self.root, self.temporary, self.folder / "site-cache"):
            shutil.rmtree(used, ignore_errors=True)
        shutil.copytree(self.folder / name, self.root, symlinks=True)
        self.temporary.mkdir()

    def start(self, songs: Path) -> subprocess.Popen[str]:
        """Start a whole run, as `make run SOURCE=…` does, in a session of its own."""
        with (self.folder / "printed.txt").open("w") as printed:
            return subprocess.Popen(
                [sys.executable, "-m", "runner.run", str(songs)],
                cwd=self.root,
                env={
                    **os.environ,
                    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                    "DVC_SITE_CACHE_DIR": str(self.folder / "site-cache"),
                    "TMPDIR": str(self.temporary),
                    "PYTHONUNBUFFERED": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )

    def run(self, songs: Path) -> tuple[int, str]:
        """Do a whole run; return exit code and output."""
        process = self.start(songs)
        return process.wait(300), self.printed()

    def printed(self) -> str:
        return (self.folder / "printed.txt").read_text()

    def kill(self, songs: Path, moment: float, *, everything: bool) -> bool:
        """Start a run and kill it after `moment` seconds; return False if it ended before."""
        process = self.start(songs)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            (kill_tree if everything else kill_group)(process)
            process.wait()
            return True
        return False

    def look(self) -> Found:
        """The artifacts, the registry and leftovers of the project."""
        return Found(
            artifacts(self.root),
            registry(self.root),
            temporary_files(self.root) + [str(path) for path in self.temporary.rglob("*")],
            processes_in(self.root),
        )


def kill_tree(process: subprocess.Popen[str]) -> None:
    """SIGKILL to a process and all that came of it, as when the machine's power is cut."""
    first = psutil.Process(process.pid)
    tree = {first.pid: first}
    _send(first, signal.SIGSTOP)
    while new := [one for one in first.children(recursive=True) if one.pid not in tree]:
        for one in new:  # stopped first, so that none can start another
            _send(one, signal.SIGSTOP)
            tree[one.pid] = one
    for one in tree.values():
        _send(one, signal.SIGKILL)


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the group that a terminal's job is; DVC and its steps are in one of their own."""
    os.killpg(process.pid, signal.SIGKILL)


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def step_of(printed: str) -> str:
    """The step that worked when the output ended; what came before, between or after steps."""
    steps: list[str] = []
    works = False
    for line in printed.splitlines():
        if match := STARTED.fullmatch(line):
            steps.append(match[1])
            works = True
        elif steps and (match := ENDED.fullmatch(line)) and match[1] == steps[-1]:
            works = False
    if not steps:
        return "collecting"
    if works:
        return steps[-1]
    return "summary" if steps[-1] == "register" else "between steps"


def artifacts(root: Path) -> dict[str, str]:
    """The sha256 of every file that the same songs must give again, DVC's cache included."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.startswith(NOT_COMPARED) or "__pycache__" in name or not path.is_file():
            continue
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    receipt = json.loads((root / RECEIPT).read_text())
    found[RECEIPT] = str({key: receipt[key] for key in receipt if key not in OF_ONE_RUN})
    # The lock file names the hash of the receipt, which is of one run. Its steps are in the order
    # in which they first ended.
    lock = re.sub(rf"(path: {RECEIPT}\n.*\n)(.*\n){{2}}", r"\1", (root / "dvc.lock").read_text())
    found["dvc.lock"] = yaml.safe_dump(yaml.safe_load(lock))
    return found


def different(one: Found, other: Found) -> dict[str, str]:
    """The artifacts in which two runs differ, and how where they are text."""
    differences = {}
    for name in sorted(one.artifacts.keys() | other.artifacts.keys()):
        here, there = (found.artifacts.get(name, "") for found in (one, other))
        if here != there:
            lines = difflib.unified_diff(here.splitlines(), there.splitlines(), lineterm="", n=2)
            differences[name] = "\n".join(lines)
    return differences


def registry(root: Path) -> dict[str, object]:
    """What the registry says, and every way in which it says what is not so."""
    with sqlite3.connect(f"file:{root / 'mlruns/mlflow.db'}?mode=ro", uri=True) as database:

        def rows(query: str) -> list[tuple[object, ...]]:
            return database.execute(query).fetchall()

        versions = rows("SELECT version, status, storage_location, run_id FROM model_versions")
        aliases = rows("SELECT alias, version FROM registered_model_aliases")
        runs = dict(rows("SELECT run_uuid, status FROM runs"))
        whole = {
            location
            for (location,) in rows(
                f"SELECT artifact_location FROM logged_models WHERE status = {READY}"
            )
        }
    numbers = {version for version, *_ in versions}
    wrong = [f"{alias} is of no version" for alias, number in aliases if number not in numbers]
    wrong += [f"run {run} still runs" for run, status in runs.items() if status == "RUNNING"]
    for version, status, location, run in versions:
        folder = Path(urlsplit(str(location)).path)
        if status != "READY" or location not in whole or runs.get(run) != FINISHED:
            wrong.append(f"version {version} is not finished")
        if not (folder / "MLmodel").is_file() or not list(folder.rglob("*.safetensors")):
            wrong.append(f"version {version} has no artifacts")
    return {"versions": sorted(map(str, numbers)), "aliases": sorted(aliases), "wrong": wrong}


def temporary_files(root: Path) -> list[str]:
    """Leftovers of killed writers: temporary files of this project, DVC and SQLite."""
    names = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    return [
        name
        for name in names
        if ".incomplete-" in name
        or name.endswith((".tmp", "-journal", "-wal", "-shm", ".unpacked"))
        or re.search(r"\.dvc/cache/.*/[^/]*\.[^/]+$", name.removesuffix(".dir"))
    ]


def processes_in(root: Path) -> list[str]:
    """Processes that work in the project."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(root):
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


def wait_until_quiet(root: Path, seconds: float) -> None:
    """Wait for the processes that a watchdog is about to end."""
    deadline = time.monotonic() + seconds
    while processes_in(root) and time.monotonic() < deadline:
        time.sleep(0.1)
