"""DVC's files after a kill: what was cut off goes, and DVC goes on with what is whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tasks import dvc_command, lockfile

ADDED = """outs:
- md5: ceecddfaf8c211c639f33406944fe052.dir
  size: 12484144
  nfiles: 26
  hash: md5
  path: raw
"""
STEPS = {
    name: {
        "cmd": f"mkdir -p {name} && cp {before} {name}/out && echo {name} >> ran.txt",
        "deps": [before],
        "outs": [name],
    }
    for name, before in (("one", "source"), ("two", "one/out"), ("three", "two/out"))
}


def dvc(root: Path, *command: str) -> str:
    lines: list[str] = []
    assert dvc_command.run(list(command), root, lines.append) == 0, lines
    return "\n".join(lines)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that `root` is a copy of."""
    root = tmp_path_factory.mktemp("finished")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
    (root / "source").write_text("songs")
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": STEPS}, sort_keys=False))
    dvc(root, "repro")
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three steps that have run."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site-cache"))
    return Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))


def test_what_is_whole_stays_as_it_is(root: Path) -> None:
    text = (root / "dvc.lock").read_text()

    assert lockfile.whole_part(text) == text
    assert lockfile.whole_part(ADDED) == ADDED
    assert lockfile.whole_part(None) is None


def test_wherever_the_lock_file_is_cut_off_whole_entries_are_left(root: Path) -> None:
    text = (root / "dvc.lock").read_text()
    stages = yaml.safe_load(text)["stages"]
    whole = {"", *(text[: text.index(f"  {name}:")] for name in ("two", "three")), text}

    for length in range(len(text)):
        part = lockfile.whole_part(text[:length])
        assert part is not None
        assert text.startswith(part)
        if part not in whole:  # cut off after a whole file of an entry: DVC sees what it lacks
            entry = list(yaml.safe_load(part)["stages"].items())[-1]
            assert entry[1] != stages[entry[0]]
            assert not entry[1].get("outs")


def test_wherever_an_added_folder_is_cut_off_nothing_is_left() -> None:
    for length in range(len(ADDED)):
        assert lockfile.whole_part(ADDED[:length]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.2, 0.55, 0.75, 0.95, 0.999])
def test_the_next_run_brings_back_what_the_lock_file_lost(root: Path, share: float) -> None:
    whole = (root / "dvc.lock").read_bytes()
    (root / "dvc.lock").write_bytes(whole[: int(share * len(whole))])

    dvc(root, "repro")

    assert (root / "dvc.lock").read_bytes() == whole
    assert (root / "ran.txt").read_text().split() == ["one", "two", "three"]  # from DVC's cache
    assert json.loads(dvc(root, "status", "--json").splitlines()[-1]) == {}


@pytest.mark.slow
def test_the_entries_come_in_the_order_of_the_pipeline_whichever_ended_first(root: Path) -> None:
    whole = (root / "dvc.lock").read_text()
    head, one, two, three = re.split(r"(?m)^(?=  \w+:\n)", whole)
    (root / "dvc.lock").write_text(head + three + one + two)

    dvc(root, "repro")

    assert (root / "dvc.lock").read_text() == whole


def test_steps_of_a_matrix_come_by_name_and_unknown_ones_last() -> None:
    entries = {name: f"  {name}:\n    cmd: {name}\n" for name in ("old", "a@y", "a@x", "b")}
    head = "schema: '2.0'\nstages:\n"

    text = lockfile.in_order(head + "".join(entries.values()), ["a", "b"])

    assert text == head + "".join(entries[name] for name in ("a@x", "a@y", "b", "old"))


@pytest.mark.slow
def test_a_step_that_had_to_wait_for_another_command_leaves_the_same_lock_file(root: Path) -> None:
    apart = {"cmd": "echo > apart", "outs": ["apart"]}
    (root / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {**STEPS, "apart": apart}}, sort_keys=False)
    )
    dvc(root, "repro")
    whole = (root / "dvc.lock").read_bytes()
    (root / "dvc.lock").unlink()
    busy = {"pid": os.getpid(), "cmd": "dvc repro"}
    rwlock = root / dvc_command.RWLOCK
    rwlock.write_text(json.dumps({"write": {str(root / "two"): busy}}))

    assert dvc_command.run(["repro", "--keep-going"], root, lambda _: None) != 0
    early = (root / "dvc.lock").read_text()
    rwlock.unlink()
    dvc(root, "repro")

    assert "  apart:" in early
    assert "  two:" not in early
    assert (root / "dvc.lock").read_bytes() == whole


@pytest.mark.slow
def test_nothing_is_mended_while_dvc_may_be_writing(root: Path) -> None:
    (root / "dvc.lock").write_text("schema: '2.0'\nstag")
    held = str(root / lockfile.DVC_LOCK)
    script = f"import time, zc.lockfile as z; lock = z.LockFile({held!r}); print(); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        lockfile.mend(root)
        process.kill()

    assert (root / "dvc.lock").read_text() == "schema: '2.0'\nstag"
    lockfile.mend(root)
    assert not (root / "dvc.lock").exists()
