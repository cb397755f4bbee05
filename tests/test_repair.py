"""DVC's files after a kill: truncated entries are removed, and DVC continues."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runner import dvc_command, repair

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
        "params": ["folds"],
        "outs": [name],
    }
    for name, before in (("one", "source"), ("two", "one/out"), ("three", "two/out"))
}


def dvc(root: Path, *command: str) -> list[str]:
    lines: list[str] = []
    done = dvc_command.run(list(command), root, lines.append)
    assert done.code == 0, done.lines
    return lines


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template of `root`."""
    root = tmp_path_factory.mktemp("finished")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
    (root / "source").write_text("songs")
    (root / "params.yaml").write_text("folds: 5\n")
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": STEPS}, sort_keys=False))
    dvc(root, "repro")
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three steps that have run."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site-cache"))
    return Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))


def test_complete_files_are_unchanged(root: Path) -> None:
    text = (root / "dvc.lock").read_text()
    (root / "data").mkdir()
    (root / "data/raw.dvc").write_text(ADDED)
    cached = sorted((root / ".dvc/cache").rglob("*"))

    repair.repair(root)

    assert (root / "dvc.lock").read_text() == text
    assert (root / "data/raw.dvc").read_text() == ADDED
    assert sorted((root / ".dvc/cache").rglob("*")) == cached
    assert list(repair.entries(root)) == list(STEPS)


def test_complete_entries_remain_wherever_the_lock_file_is_truncated(root: Path) -> None:
    text = (root / "dvc.lock").read_text()
    stages = yaml.safe_load(text)["stages"]
    whole = {"", *(text[: text.index(f"  {name}:")] for name in ("two", "three")), text}

    for length in range(len(text)):
        part = repair.complete_part(text[:length])
        assert text.startswith(part)
        if part not in whole:  # truncated after a complete part of an entry: DVC runs the rest
            entry = list(yaml.safe_load(part)["stages"].items())[-1]
            assert entry[1] != stages[entry[0]]
            assert not entry[1].get("outs")


def test_a_truncated_dvc_file_is_removed() -> None:
    assert repair.complete_part(ADDED) == ADDED
    for length in range(len(ADDED)):
        assert repair.complete_part(ADDED[:length]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.2, 0.55, 0.75, 0.95, 0.999])
def test_the_next_run_restores_lost_entries_of_the_lock_file(root: Path, share: float) -> None:
    whole = (root / "dvc.lock").read_bytes()
    (root / "dvc.lock").write_bytes(whole[: int(share * len(whole))])
    (root / ".dvc/tmp/rwlock").write_text('{"write": {"/so')

    dvc(root, "repro")

    assert (root / "dvc.lock").read_bytes() == whole
    assert (root / "ran.txt").read_text().split() == ["one", "two", "three"]  # from DVC's cache
    assert json.loads(dvc(root, "status", "--json")[-1]) == {}


def test_temporary_files_of_a_killed_command_are_removed(root: Path) -> None:
    half = root / ".dvc/cache/files/md5/00/.AbCdEfGhIjKlMnOpQrStUv.tmp"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"half")
    empty = root / ".dvc/cache/runs/00/0123"
    empty.mkdir(parents=True)
    (root / ".dvc/tmp/rwlock").write_text('{"write": {"/so')

    repair.repair(root)

    assert not half.exists()
    assert not empty.exists()
    assert not (root / ".dvc/tmp/rwlock").exists()


def test_nothing_is_repaired_while_dvc_may_be_writing(root: Path) -> None:
    (root / "dvc.lock").write_text("schema: '2.0'\nstag")
    script = "import fcntl, sys, time; file = open(sys.argv[1], 'a'); fcntl.flock(file, 2); print()"
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}; time.sleep(60)", str(root / repair.LOCK)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        repair.repair(root)
        process.kill()

    assert (root / "dvc.lock").read_text() == "schema: '2.0'\nstag"
    repair.repair(root)
    assert not (root / "dvc.lock").exists()
