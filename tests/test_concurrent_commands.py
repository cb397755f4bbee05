"""Two commands at once in a project: one runs, the other waits or fails clearly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from flows_harness import add_song, dvc, make_project, wait_until
from test_flows import make_flow_project, states

from flows.retrain import retrain
from runner import dvc_command

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parent.parent
# Lists the songs, then runs until it may end.
SLOW = "ls data/raw/*/* > data/catalogue; touch started; while [ ! -e go ]; do sleep 0.1; done"
LISTEN = {"cmd": f"{SLOW}; echo done", "deps": ["data/raw"], "outs": ["data/catalogue"]}
AFTER = {"cmd": "cp data/catalogue data/clips; echo cut", "deps": ["data/catalogue"]}
STAGES = {"duplicates": LISTEN, "trim": {**AFTER, "outs": ["data/clips"]}}
REPRO = ("-P", "-m", "dvc", "repro")
RUN = ("-m", "runner.run")

Start = Callable[..., subprocess.Popen[str]]


def start_in(root: Path) -> Start:
    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"},
            stdout=(root / "said").open("w") if "add" in words else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose first step lists two songs and runs until the file `go` exists."""
    root = make_project(tmp_path / "project", STAGES)
    shutil.copyfile(CHECKOUT / "params.yaml", root / "params.yaml")
    for name in ("jazz", "rock"):
        (tmp_path / f"new-{name}" / name).mkdir(parents=True)
        (tmp_path / f"new-{name}" / name / "new.mp3").write_text(name)
    return root


@pytest.fixture
def start(root: Path) -> Start:
    return start_in(root)


def wait_until_listed(root: Path) -> None:
    """Wait until the step has listed the songs."""
    wait_until((root / "started").exists)


def let_go(root: Path) -> None:
    (root / "go").touch()


def end(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    return output or ""


def songs(root: Path) -> list[str]:
    """The songs in the collection, without the manifest."""
    return sorted(path.relative_to(root).as_posix() for path in (root / "data/raw").glob("*/*"))


def is_consistent(root: Path) -> None:
    """After a run: every song is listed, versioned and in the hashes of the steps."""
    end(start_in(root)(*RUN))
    assert (root / "data/catalogue").read_text().split() == songs(root)
    assert (root / "data/clips").read_text() == (root / "data/catalogue").read_text()
    (version,) = yaml.safe_load((root / "data/raw.dvc").read_text())["outs"]
    stages = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    (known,) = stages["duplicates"]["deps"]
    assert known["md5"] == version["md5"]
    assert "up to date" in dvc(root, "status")
    assert not list((root / "data").glob(".incomplete-*"))


def test_the_second_of_two_dvc_repro_names_the_first_and_a_later_one_is_cached(
    root: Path, start: Start
) -> None:
    first = start(*REPRO)
    wait_until_listed(root)

    refused = end(start(*REPRO), code=255)

    assert f"is busy, it is being blocked by:\n  (PID {first.pid})" in refused
    let_go(root)
    assert "Running stage 'trim'" in end(first)
    assert "Data and pipelines are up to date" in end(start(*REPRO))
    is_consistent(root)


def test_a_whole_run_waits_for_a_dvc_repro_and_runs_the_remaining_steps(
    root: Path, start: Start
) -> None:
    first = start(*REPRO, "duplicates")
    wait_until_listed(root)

    second = start(*RUN)
    assert second.stdout is not None
    while "waiting for another DVC command" not in (line := second.stdout.readline()):
        assert line, "it ended"
    let_go(root)

    end(first)
    output = end(second)
    assert "trim" in output
    assert "duplicates …" not in output
    is_consistent(root)


@pytest.mark.parametrize("run", [REPRO, RUN])
def test_songs_added_during_a_run_are_in_the_next_run(
    root: Path, start: Start, tmp_path: Path, run: tuple[str, ...]
) -> None:
    first = start(*run)
    wait_until_listed(root)
    before = songs(root)

    adding = start("-m", "genre.cli", "add", str(tmp_path / "new-jazz"))
    wait_until(lambda: "Waiting for the run that reads" in (root / "said").read_text())
    assert songs(root) == before
    let_go(root)

    end(first)
    end(adding)
    assert songs(root) == [*before, "data/raw/jazz/new.mp3"]
    is_consistent(root)


def test_the_list_of_readers_of_a_killed_run_does_not_block_an_addition(
    root: Path, start: Start, tmp_path: Path
) -> None:
    first = start(*REPRO)
    wait_until_listed(root)
    first.kill()
    let_go(root)
    end(first, code=-9)
    listed = (root / ".dvc/tmp/rwlock").read_text()
    assert str(first.pid) in listed

    for left in (listed, listed.replace(str(first.pid), str(os.getpid())), listed[:20]):
        (root / ".dvc/tmp/rwlock").write_text(left)
        end(start("-m", "genre.cli", "add", str(tmp_path / "new-jazz")))
        assert "Waiting" not in (root / "said").read_text()

    is_consistent(root)


def test_two_runs_with_new_songs_both_add_them(root: Path, start: Start, tmp_path: Path) -> None:
    let_go(root)
    both = [start(*RUN, str(tmp_path / name)) for name in ("new-jazz", "new-rock")]

    for process in both:
        end(process)

    assert {"data/raw/jazz/new.mp3", "data/raw/rock/new.mp3"} < set(songs(root))
    is_consistent(root)


@pytest.mark.usefixtures("prefect_server")
def test_a_retraining_waits_for_a_dvc_repro_and_uses_its_results(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_flow_project(tmp_path / "project", project, STAGES)
    monkeypatch.chdir(root)
    add_song(root, "jazz", "three")
    first = start_in(root)(*REPRO, "duplicates")
    wait_until_listed(root)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        let_go(root)
        first.wait(60)

    monkeypatch.setattr(dvc_command, "time", SimpleNamespace(monotonic=time.monotonic, sleep=wait))
    state = retrain(return_state=True)

    end(first)
    assert waits == [dvc_command.LOCK_RETRY_SECONDS]
    assert state.is_completed()
    expected = {"duplicates": "Cached", "trim": "Completed", "push": "Skipped"}
    assert {**states(state), "collect": "any"} == {**expected, "collect": "any"}
    is_consistent(root)
