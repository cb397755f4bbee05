"""Every step with too little room: it says so, leaves nothing by halves, and goes on with room."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flows_harness import make_project as make_dvc_project
from folders import left_behind, read_tree, songs_in
from little_room import CHECKOUT, Machine, below, machine, may_mount, registered, steps, tree
from little_room import write_project as write_song_project
from registry_project import make_project
from songs import write_collection

pytestmark = pytest.mark.slow

LIMIT, DISK = "size limit", "small disk"
WAYS = [LIMIT, *([DISK] if may_mount() else [])]
REASONS = {LIMIT: "a limit on the size of files is reached", DISK: "the disk is full"}
NOT_CHOSEN = ("pretrained", "musicnn")  # they need a download; their writers are those of others

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
    """A project whose every step was run undisturbed."""
    root = here.home / "whole"
    write_song_project(root)
    for step in STEPS:
        code, said = here.run("whole", step)
        assert code == 0, said
    return root


@pytest.fixture
def project(way: str, whole: Path, here: Machine, small: Machine) -> Iterator[Path]:
    """A copy of the whole project where there will be little room."""
    root = (small if way == DISK else here).home / "project"
    copy = shutil.copy2 if way == DISK else os.link
    shutil.copytree(whole, root, copy_function=copy, ignore=shutil.ignore_patterns(".cache"))
    shutil.copytree(whole / ".cache", root / ".cache")  # SQLite writes in it
    yield root
    shutil.rmtree(root)


@pytest.mark.parametrize("step", [step for step in STEPS if step not in NOT_CHOSEN])
@pytest.mark.parametrize("way", WAYS)
def test_a_step_without_room_says_so_leaves_nothing_by_halves_and_goes_on_with_room(
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
            if (project / path).exists() and not (step == "split" and old):  # it reads its old one
                (project / path).unlink()
                if old:
                    (project / path).write_bytes(old)
        before = tree(project)
        if way == DISK:
            with small.full_but_for(int(room * sum(sizes))):
                code, said = small.run("project", step)
        else:
            limit = max(sizes) - 1 if room else min(100, max(sizes) - 1)
            code, said = here.run("project", step, limit)

        assert code == 1, said
        assert "Traceback" not in said
        error = " ".join(said[said.rindex("error: ") :].split())
        assert any(error.startswith(f"error: {out}: cannot be written: ") for out in outs), said
        assert f"{REASONS[way]} (" in error
        assert error.endswith("nothing is half-written. Make room, then run the same again")
        after = tree(project)
        for out in outs:
            assert below(after, out) in (below(before, out), below(undisturbed, out))
        assert after.keys() <= undisturbed.keys()

    code, said = (small if way == DISK else here).run("project", step)
    assert code == 0, said
    assert tree(project) == undisturbed


@pytest.mark.parametrize(
    ("way", "room"),
    [(LIMIT, 2_000_000), *((DISK, room) for room in (0, 500_000) if DISK in WAYS)],
)
def test_a_registration_without_room_makes_no_version_and_the_next_one_makes_it(
    way: str, room: int, here: Machine, small: Machine, tmp_path: Path
) -> None:
    place = small if way == DISK else here
    root = make_project(tmp_path / "made").root
    (root / "reports/figures/large.png").write_bytes(bytes(2_500_000 if way == LIMIT else 1))
    root = Path(shutil.copytree(root, place.home / "project"))
    try:
        if way == DISK:
            with small.full_but_for(room):
                code, said = small.run("project", "register")
        else:
            code, said = here.run("project", "register", room)

        assert code == 1, said
        assert "Traceback" not in said
        assert "the MLflow store cannot be used" in said
        assert "Check that its disk has room" in said
        nothing = {"model_versions": [], "registered_model_aliases": []}
        assert registered(root, tmp_path / "store") == nothing
        assert not (root / "mlruns/registered.json").exists()

        code, said = place.run("project", "register")
        assert code == 0, said
        assert registered(root, tmp_path / "store") == {
            "model_versions": [(1,)],
            "registered_model_aliases": [(1, "champion")],
        }
        assert list(root.rglob(".incomplete-*")) == []
    finally:
        shutil.rmtree(root)


def test_a_store_without_room_to_be_made_is_not_half_there(here: Machine) -> None:
    root = make_project(here.home / "first").root
    (root / "mlruns/mlflow.db").unlink()

    code, said = here.run("first", "register", 300_000)

    assert code == 1, said
    assert "Check that its disk has room" in said
    assert [path.name for path in (root / "mlruns").iterdir()] == ["registry.lock"]


COMMANDS = {
    "folder": "genre add {new}",
    "archive": "genre add {new}.zip",
    "relabel": "genre relabel rock/rock0.wav jazz",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_change_of_the_collection_without_room_leaves_it_as_it_was(
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
                    code, said = small.run("project", words)
            else:
                code, said = here.run("project", words, min(room, 200_000))

            assert code == 1, said
            assert "Traceback" not in said
            assert said.splitlines()[-1].startswith("error: data/raw: cannot be written: ")
            assert REASONS[way] in said
            assert "Make room, then run the same again" in said
            assert read_tree(root / "data/raw") == before
            assert left_behind(root) == []

        code, said = place.run("project", words)
        assert code == 0, said
        assert len(songs_in(root)) == (1 if command == "relabel" else 3)
    finally:
        shutil.rmtree(root)


# A folder of so many files takes DVC a longer list than any of them is long.
LINK = "import os; os.mkdir('data/many'); "
LINK += "[os.link('data/raw/blues/one.txt', f'data/many/{n}') for n in range(1500)]"
LINKS = f'{sys.executable} -c "{LINK}"'
MANY = {"trim": {"cmd": LINKS, "deps": ["data/raw"], "outs": ["data/many"]}}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_whose_cache_has_no_room_says_so_and_goes_on_when_there_is(
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
                    code, said = small.run("project", "run")
            else:
                code, said = here.run("project", "run", room + 1000)

            assert code == 1, said
            assert "Traceback" not in said
            said = " ".join(said.split())
            assert "DVC's cache or database cannot be written: the disk is full, or a limit" in said
            assert not (root / "dvc.lock").exists()
            assert list((root / ".dvc/cache").rglob("*.tmp")) == []

        code, said = place.run("project", "run")
        assert code == 0, said
        assert len(list((root / "data/many").iterdir())) == 1500
        assert "data/many" in (root / "dvc.lock").read_text()
    finally:
        shutil.rmtree(root)


def test_what_a_killed_run_left_in_the_cache_of_dvc_is_swept_and_stops_nobody(
    here: Machine,
) -> None:
    root = make_dvc_project(
        here.home / "cached", {"trim": {**MANY["trim"], "cmd": "mkdir data/many"}}
    )
    shutil.copyfile(CHECKOUT / "params.yaml", root / "params.yaml")
    code, said = here.run("cached", "run")
    assert code == 0, said
    (run,) = (path for path in (root / ".dvc/cache/runs").rglob("*") if path.is_file())
    run.rename(run.with_name(".AbCdEfGhIjKlMnOpQrStUv.tmp"))
    (root / "dvc.lock").unlink()
    half = root / ".dvc/cache/files/md5/00/.AbCdEfGhIjKlMnOpQrStUv.tmp"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"half")

    code, said = here.run("cached", "run")

    assert code == 0, said
    assert list((root / ".dvc/cache").rglob("*.tmp")) == []
    assert (root / "dvc.lock").exists()
