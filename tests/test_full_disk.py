"""Every step on a full disk: it fails clearly, leaves nothing half-written, and later succeeds."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flows_harness import make_project as make_dvc_project
from folders import left_behind, read_tree, songs_in
from full_disk import CHECKOUT, Machine, below, machine, may_mount, registered, steps, tree
from full_disk import write_project as write_song_project
from registry_project import make_project
from songs import write_collection

pytestmark = pytest.mark.slow

LIMIT, DISK = "size limit", "small disk"
WAYS = [LIMIT, *([DISK] if may_mount() else [])]
REASONS = {LIMIT: "a limit on the size of files is reached", DISK: "the disk is full"}
NOT_CHOSEN = ("pretrained", "musicnn")  # they need a download, and are written by shared code

STEPS = steps()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("room")) as found:
        yield found


@pytest.fixture(scope="module")
def small(here: Machine) -> Iterator[Machine]:
    if DISK not in WAYS:
        yield here
        return
    with machine(None) as found:
        yield found


@pytest.fixture(scope="module")
def whole(here: Machine) -> Path:
    """A project in which every step has run."""
    root = here.home / "whole"
    write_song_project(root)
    for step in STEPS:
        code, printed = here.run("whole", step)
        assert code == 0, printed
    return root


@pytest.fixture
def project(way: str, whole: Path, here: Machine, small: Machine) -> Iterator[Path]:
    """A copy of that project on a small disk."""
    root = (small if way == DISK else here).home / "project"
    copy = shutil.copy2 if way == DISK else os.link
    shutil.copytree(whole, root, copy_function=copy, ignore=shutil.ignore_patterns(".cache"))
    shutil.copytree(whole / ".cache", root / ".cache")  # SQLite writes in it
    yield root
    shutil.rmtree(root)


@pytest.mark.parametrize("step", [step for step in STEPS if step not in NOT_CHOSEN])
@pytest.mark.parametrize("way", WAYS)
def test_a_step_on_a_full_disk_fails_clearly_leaves_no_partial_output_and_later_succeeds(
    way: str, step: str, project: Path, whole: Path, here: Machine, small: Machine
) -> None:
    outs, undisturbed = STEPS[step], tree(whole)
    written = [path for out in outs for path in below(undisturbed, out)]
    sizes = [(whole / path).stat().st_size for path in written]
    trials = {LIMIT: [(b"old", 0.0)], DISK: [(None, 0.5)]}
    if DISK not in WAYS:
        trials[LIMIT] += trials[DISK]
    for old, room in trials[way]:
        for path in written:
            if (project / path).exists() and not (
                step == "split" and old
            ):  # it reads its last output
                (project / path).unlink()
                if old:
                    (project / path).write_bytes(old)
        before = tree(project)
        if way == DISK:
            with small.full_but_for(int(room * sum(sizes))):
                code, printed = small.run("project", step)
        else:
            limit = max(sizes) - 1 if room else min(100, max(sizes) - 1)
            code, printed = here.run("project", step, limit)

        assert code == 1, printed
        assert "Traceback" not in printed
        error = " ".join(printed[printed.rindex("error: ") :].split())
        assert any(error.startswith(f"error: {out}: cannot be written: ") for out in outs), printed
        assert f"{REASONS[way]} (" in error
        assert error.endswith(
            "no file is half-written. Free some space, then run the same command again"
        )
        after = tree(project)
        for out in outs:
            assert below(after, out) in (below(before, out), below(undisturbed, out))
        assert after.keys() <= undisturbed.keys()

    code, printed = (small if way == DISK else here).run("project", step)
    assert code == 0, printed
    assert tree(project) == undisturbed


@pytest.mark.parametrize(
    ("way", "room"),
    [(LIMIT, 2_000_000), *((DISK, room) for room in (0, 500_000) if DISK in WAYS)],
)
def test_a_registration_on_a_full_disk_makes_no_version_and_the_next_one_does(
    way: str, room: int, here: Machine, small: Machine, tmp_path: Path
) -> None:
    place = small if way == DISK else here
    root = make_project(tmp_path / "made").root
    (root / "reports/figures/large.png").write_bytes(bytes(2_500_000 if way == LIMIT else 1))
    root = Path(shutil.copytree(root, place.home / "project"))
    try:
        if way == DISK:
            with small.full_but_for(room):
                code, printed = small.run("project", "register")
        else:
            code, printed = here.run("project", "register", room)

        assert code == 1, printed
        assert "Traceback" not in printed
        assert "the MLflow store cannot be used" in printed
        assert "Check that its disk has room" in printed
        nothing = {"model_versions": [], "registered_model_aliases": []}
        assert registered(root, tmp_path / "store") == nothing
        assert not (root / "mlruns/registered.json").exists()

        code, printed = place.run("project", "register")
        assert code == 0, printed
        assert registered(root, tmp_path / "store") == {
            "model_versions": [(1,)],
            "registered_model_aliases": [(1, "champion")],
        }
        assert list(root.rglob(".incomplete-*")) == []
    finally:
        shutil.rmtree(root)


def test_a_store_that_cannot_be_created_on_a_full_disk_leaves_no_file(here: Machine) -> None:
    root = make_project(here.home / "first").root
    (root / "mlruns/mlflow.db").unlink()

    code, printed = here.run("first", "register", 300_000)

    assert code == 1, printed
    assert "Check that its disk has room" in printed
    assert [path.name for path in (root / "mlruns").iterdir()] == ["registry.lock"]


COMMANDS = {
    "folder": "genre add {new}",
    "archive": "genre add {new}.zip",
    "relabel": "genre relabel rock/rock0.wav jazz",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_change_on_a_full_disk_leaves_the_collection_unchanged(
    way: str, command: str, here: Machine, small: Machine, tmp_path: Path
) -> None:
    place = small if way == DISK else here
    new = write_collection(tmp_path / "new", genres=("folk",), songs=2, seconds=5.0)
    shutil.make_archive(str(new), "zip", new)
    root = place.home / "project"
    write_collection(root / "data/raw", genres=("rock",), songs=1)
    (root / "data/raw/manifest.csv").write_text("path,artist\nrock/rock0.wav,Ann\n")
    shutil.copyfile(CHECKOUT / "params.yaml", root / "params.yaml")
    try:
        before = read_tree(root / "data/raw")
        for room in (10, 300_000)[: 1 if command == "relabel" else 2]:
            words = COMMANDS[command].format(new=new)
            if way == DISK:
                with small.full_but_for(room if room > 4096 else 0):
                    code, printed = small.run("project", words)
            else:
                code, printed = here.run("project", words, min(room, 200_000))

            assert code == 1, printed
            assert "Traceback" not in printed
            assert printed.splitlines()[-1].startswith("error: data/raw: cannot be written: ")
            assert REASONS[way] in printed
            assert "Free some space, then run the same command again" in printed
            assert read_tree(root / "data/raw") == before
            assert left_behind(root) == []

        code, printed = place.run("project", words)
        assert code == 0, printed
        assert len(songs_in(root)) == (1 if command == "relabel" else 3)
    finally:
        shutil.rmtree(root)


# DVC's list of so many files is longer than any of them.
LINK = "import os; os.mkdir('data/many'); "
LINK += "[os.link('data/raw/blues/one.txt', f'data/many/{n}') for n in range(1500)]"
LINKS = f'{sys.executable} -c "{LINK}"'
MANY = {"trim": {"cmd": LINKS, "deps": ["data/raw"], "outs": ["data/many"]}}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_with_a_full_dvc_cache_fails_clearly_and_later_succeeds(
    way: str, here: Machine, small: Machine
) -> None:
    place = small if way == DISK else here
    root = place.home / "project"
    make_dvc_project(root, MANY)
    shutil.copyfile(CHECKOUT / "params.yaml", root / "params.yaml")
    try:
        for room in (0, 50_000):
            if way == DISK:
                with small.full_but_for(room):
                    code, printed = small.run("project", "run")
            else:
                code, printed = here.run("project", "run", room + 1000)

            assert code == 1, printed
            assert "Traceback" not in printed
            printed = " ".join(printed.split())
            assert "DVC cannot write its cache or database: the disk is full, or a" in printed
            assert not (root / "dvc.lock").exists()
            assert list((root / ".dvc/cache").rglob("*.tmp")) == []

        code, printed = place.run("project", "run")
        assert code == 0, printed
        assert len(list((root / "data/many").iterdir())) == 1500
        assert "data/many" in (root / "dvc.lock").read_text()
    finally:
        shutil.rmtree(root)


def test_leftovers_of_a_killed_run_in_the_cache_of_dvc_are_removed(
    here: Machine,
) -> None:
    root = make_dvc_project(
        here.home / "cached", {"trim": {**MANY["trim"], "cmd": "mkdir data/many"}}
    )
    shutil.copyfile(CHECKOUT / "params.yaml", root / "params.yaml")
    code, printed = here.run("cached", "run")
    assert code == 0, printed
    (run,) = (path for path in (root / ".dvc/cache/runs").rglob("*") if path.is_file())
    run.rename(run.with_name(".AbCdEfGhIjKlMnOpQrStUv.tmp"))
    (root / "dvc.lock").unlink()
    half = root / ".dvc/cache/files/md5/00/.AbCdEfGhIjKlMnOpQrStUv.tmp"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"half")

    code, printed = here.run("cached", "run")

    assert code == 0, printed
    assert list((root / ".dvc/cache").rglob("*.tmp")) == []
    assert (root / "dvc.lock").exists()
