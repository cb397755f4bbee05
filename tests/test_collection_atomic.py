"""A change is atomic, even if it is killed at any moment or runs beside another command."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import left_behind, read_tree, songs_in, write_tree

from genre.collection import add, relabel, transaction
from genre.core.errors import CollectionError, GenreError

OLD = {"blues/a.mp3": "A", "rock/c.wav": "C", "manifest.csv": "path,artist\nblues/a.mp3,Ann\n"}
NEW = {"jazz/d.mp3": "D", "blues/a.mp3": "other", "manifest.csv": "path,artist\njazz/d.mp3,Dee\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    add(write_tree(tmp_path / "old", OLD), root)
    return root


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "new", NEW)


def killed_at(moment: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that kills itself at its event number `moment`; return whether it did.

    An event is anything that Python's audit hooks see: each file opened, linked, renamed, made
    or removed among them.
    """
    child = os.fork()
    if child == 0:
        seen = 0

        def count(_event: str, _arguments: tuple[object, ...]) -> None:
            nonlocal seen
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            sys.addaudithook(count)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def every_moment(root: Path, work: Callable[[], object], tmp_path: Path) -> tuple[int, int]:
    """Kill `work` at each of its moments; the collection is as before or as after, never between.

    Returns at how many moments it was as before, and as after.
    """
    spare = tmp_path / "spare"
    shutil.copytree(root, spare)
    before = read_tree(root / "data/raw")
    work()
    after = read_tree(root / "data/raw")
    assert before != after
    seen = [0, 0]
    moment = 0
    while True:
        moment += 1
        shutil.rmtree(root)
        shutil.copytree(spare, root)
        if not killed_at(moment, work):
            return seen[0], seen[1]
        found = read_tree(root / "data/raw")
        assert found in (before, after), f"half a change when killed at event {moment}"
        seen[found == after] += 1
        # The next command cleans up and completes the change.
        work()
        assert read_tree(root / "data/raw") == after
        assert left_behind(root) == []


@pytest.mark.slow
def test_an_add_killed_at_any_moment_leaves_the_old_or_the_new_collection(
    root: Path, new: Path, tmp_path: Path
) -> None:
    unchanged, whole = every_moment(root, lambda: add(new, root), tmp_path)
    assert unchanged > 20
    assert whole > 3


@pytest.mark.slow
def test_a_relabel_killed_at_any_moment_is_complete_or_undone(root: Path, tmp_path: Path) -> None:
    def work() -> None:
        if (root / "data/raw/rock/c.wav").exists():
            relabel(["rock/c.wav"], "pop", root)
        else:
            add(tmp_path / "old", root)  # any command cleans up

    unchanged, whole = every_moment(root, work, tmp_path)
    assert unchanged > 10
    assert whole > 3


@pytest.mark.slow
def test_a_first_add_killed_at_any_moment_leaves_no_collection_or_a_complete_one(
    new: Path, tmp_path: Path
) -> None:
    moment = 0
    while True:
        moment += 1
        root = tmp_path / f"first{moment}"
        if not killed_at(moment, lambda root=root: add(new, root, log=str)):
            break
        assert not (root / "data/raw").exists() or len(songs_in(root)) == 2
        add(new, root)
        assert len(songs_in(root)) == 2
        assert left_behind(root) == []
    assert moment > 20


def test_a_process_killed_while_copying_leaves_the_collection_unchanged(
    root: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large" / "jazz"
    large.mkdir(parents=True)
    for number in range(200):
        (large / f"{number}.wav").write_bytes(bytes([number]) * 500_000)
    before = read_tree(root / "data/raw")
    command = "import sys; from pathlib import Path; from genre.collection import add; "
    command += "add(Path(sys.argv[1]), Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", command, str(large.parent), str(root)])
    deadline = time.monotonic() + 60
    while not list((root / "data").glob(".incomplete-*/raw/jazz/*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert read_tree(root / "data/raw") == before
    assert left_behind(root) != []
    assert len(add(large.parent, root).added) == 200
    assert left_behind(root) == []


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without an atomic exchange of folders."""
    monkeypatch.setattr(transaction, "exchange", lambda _one, _other: False)


@pytest.mark.slow
@pytest.mark.usefixtures("no_exchange")
def test_without_an_exchange_in_one_step_a_killed_add_is_undone_or_finished_by_the_next_command(
    root: Path, new: Path, tmp_path: Path
) -> None:
    spare = tmp_path / "spare"
    shutil.copytree(root, spare)
    before = songs_in(root)
    add(new, root)
    after = songs_in(root)
    moment = absent = 0
    while True:
        moment += 1
        shutil.rmtree(root)
        shutil.copytree(spare, root)
        if not killed_at(moment, lambda: add(new, root)):
            break
        absent += not (root / "data/raw").exists()
        with pytest.raises(CollectionError):  # any command, even a refused one
            relabel(["no such song"], "pop", root)
        assert songs_in(root) in (before, after), f"killed at event {moment}"
        assert left_behind(root) == []
    assert absent >= 1


@pytest.mark.usefixtures("no_exchange")
def test_a_second_rename_that_fails_is_undone_at_once(
    root: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_tree(root / "data/raw")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.parent.name.startswith(transaction.STAGING_PREFIX) and self.name == "raw":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(GenreError, match="it is unchanged"):
        add(new, root)
    monkeypatch.undo()
    assert read_tree(root / "data/raw") == before
    assert left_behind(root) == []


def test_songs_are_copied_if_hard_links_are_refused(
    root: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_settings: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    add(new, root)
    assert set(songs_in(root).values()) == {b"A", b"C", b"D", b"other"}


def test_a_full_disk_leaves_the_collection_unchanged_and_a_retry_succeeds(
    root: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_tree(root / "data/raw")

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(GenreError, match="No space left on device") as caught:
        add(new, root)
    assert not isinstance(caught.value, CollectionError)
    assert read_tree(root / "data/raw") == before
    assert left_behind(root) == []


def test_a_second_command_reports_that_it_waits_and_then_runs(root: Path, new: Path) -> None:
    printed: list[str] = []
    waits = threading.Event()

    def log(line: str) -> None:
        printed.append(line)
        waits.set()

    with transaction.exclusive(root / "data/raw", log=print):
        second = threading.Thread(target=add, args=(new, root), kwargs={"log": log})
        second.start()
        assert waits.wait(30)
        assert set(songs_in(root)) == {"blues/a.mp3", "rock/c.wav"}
    second.join(30)
    assert printed == ["Waiting for another command that changes the collection …"]
    assert "jazz/d.mp3" in songs_in(root)


def test_other_files_beside_the_collection_are_not_removed(root: Path, new: Path) -> None:
    write_tree(root / "data", {".incomplete-catalogue-x.parquet": "theirs", "clips/a.wav": ""})
    write_tree(root / "data", {f"{transaction.STAGING_PREFIX}old/raw/x.mp3": "ours"})
    add(new, root)
    assert left_behind(root) == [".incomplete-catalogue-x.parquet", "clips"]
