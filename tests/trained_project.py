"""A small trained project with its own environment, used by commands."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from params_file import change_params
from songs import tone, write
from test_whole_run import clone, run

from genre.collection import demo

GENRES = ("country", "pop", "rock")
SMALL = {  # one cheap model, and no scheduled runs
    "features.families": ["report"],
    "train.models": ["lda"],
    "train.folds": 2,
    "evaluate.bootstrap_samples": 100,
    "retrain.cron": "0 3 29 2 *",
}
STAMPS = (  # what `make` leaves in `.venv`
    *(".installed", ".installed-app", ".installed-services", ".installed-dev"),
)
NOT_A_PERSONS = (
    *("DVC_EXP", "DVC_ROOT", "PREFECT_", "MLFLOW_", "PYTEST_", "PYTHON", "VIRTUAL_ENV"),
    *("MAKE", "MFLAGS"),
)
QUIET = {
    "DVC_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "COLUMNS": "250",
}
# Runs commands in one process, which saves the imports, and prints what each of them printed.
ASK = """
import contextlib, io, json, sys
from genre import cli
from runner.run import main as make_run

def run_command(words):
    if words == ["make", "run"]:
        return make_run([])
    if words == ["make", "retrain"]:
        from flows.retrain import main as make_retrain
        return make_retrain([])
    try:
        cli.main(words[1:])
    except SystemExit as ended:
        return ended.code

replies = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(words)
    replies.append([words, code, out.getvalue(), err.getvalue()])
print("\\n" + json.dumps(replies))
"""


@dataclass(frozen=True)
class Reply:
    """The output and exit code of a command of the project."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {' '.join(self.command)}\n{self.out}{self.err}(exit code {self.code})"


class TrainedProject:
    """The project in `folder/project`, and the home folder of its user.

    `session` is a folder that all processes of these tests share.
    """

    def __init__(self, checkout: Path, folder: Path, session: Path, **services: int) -> None:
        self.root, self.home = folder / "project", folder / "home"
        self.home.mkdir(parents=True)
        self.variables: dict[str, str] = {}
        shutil.copytree(all_but_registered(checkout, session), self.root, symlinks=True)
        change_params(self.root, {f"services.{key}": port for key, port in services.items()})
        make_environment(self.root)
        write(self.song, tone(8, seed=1))
        self.shell("make run")

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a shell that was just opened."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(NOT_A_PERSONS)}
        own = {"HOME": str(self.home), "DVC_SITE_CACHE_DIR": str(self.root.parent / "site-cache")}
        return kept | QUIET | own | self.variables

    @property
    def song(self) -> Path:
        """A song beside the collection."""
        return self.home / "song.wav"

    def shell(self, script: str, *, code: int = 0, timeout: float = 900) -> str:
        """Run a script in the project's folder; return its output."""
        with subprocess.Popen(
            ["bash", "-e", "-c", script],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            printed, _ = process.communicate(timeout=timeout)
        assert process.returncode == code, f"$ {script}\n{printed}"
        return printed

    def ask(self, *commands: str) -> list[Reply]:
        """Run commands of the project (`genre …`, `make run`, `make retrain`) in one process."""
        words = json.dumps([command.split(" ") for command in commands])
        done = subprocess.run(
            [self.root / ".venv/bin/python", "-c", ASK, words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        replies: list[Any] = json.loads(done.stdout.splitlines()[-1])
        return [Reply(tuple(words), code, out, err) for words, code, out, err in replies]


def all_but_registered(checkout: Path, session: Path) -> Path:
    """A project whose steps were run, except `register`, without a store: it has absolute paths.

    The first process of the tests that asks makes it; copy it, and run what is left.
    """
    root = session / "trained" / "project"
    with (session / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            making = session / "making" / "project"
            shutil.rmtree(making, ignore_errors=True)
            clone(checkout, making)
            change_params(making, SMALL)
            songs = session / "songs"
            demo.write_songs(songs, songs_per_genre=4, genres=GENRES)
            run(making, "python", "-m", "genre.cli", "add", str(songs))
            run(making, "dvc", "repro", "evaluate", "review")
            run(making, "git", "clean", "-fdxq", "mlruns")  # the runs of the trainings
            making.parent.rename(root.parent)
    return root


def make_environment(root: Path) -> None:
    """Make `.venv` as `make setup` does, of the packages that are installed where the tests run.

    Nothing can be installed through it into the environment that it borrows from.
    """
    folder = root / ".venv"
    venv.create(folder, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    borrowed = f"{root}\nimport site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (folder / "lib" / version / "site-packages/borrowed.pth").write_text(borrowed)
    for script in Path(sysconfig.get_path("scripts")).iterdir():
        with script.open("rb") as file:
            first = file.readline(200)
        if first.startswith(b"#!") and b"python" in first:
            target = folder / "bin" / script.name
            text = script.read_text().split("\n", 1)[1]
            target.write_text(f"#!{folder}/bin/python\n{text}")
            target.chmod(0o755)
    for stamp in STAMPS:
        (folder / stamp).touch()
