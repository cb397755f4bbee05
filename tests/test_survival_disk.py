"""Every step with too little room: it says so, leaves nothing by halves, and goes on with room."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from little_room import CHECKOUT, Machine, machine, may_mount
from songs import tone, write, write_collection

MODELS = ("mlp",)
LIMIT, DISK = "size limit", "small disk"
WAYS = [LIMIT, *([DISK] if may_mount() else [])]
REASONS = {LIMIT: "a limit on the size of files is reached", DISK: "the disk is full"}
NOT_CHOSEN = ("pretrained", "musicnn")  # they need a download; their writers are those of others


def steps() -> dict[str, list[str]]:
    """Every step of `dvc.yaml` but register, of which below, and what it writes."""
    found = {}
    for name, stage in yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"].items():
        parts = [part for kind in ("outs", "metrics", "plots") for part in stage.get(kind, [])]
        outs = [part if isinstance(part, str) else next(iter(part)) for part in parts]
        for model in MODELS if "matrix" in stage else [""]:
            key = f"{name} {model}".strip()
            found[key] = [out.replace("${item.model}", model) for out in outs]
    del found["register"]
    return found


STEPS = steps()


def write_project(root: Path) -> None:
    """Six songs of 6 s, and parameters with which every step writes something quickly."""
    write_collection(root / "data/raw", genres=("jazz", "pop"), songs=3)
    for number, genre in enumerate(("jazz", "pop")):
        y = tone(7.0, seed=900 + number)
        write(root / f"data/new_songs/{genre}/new{number}.wav", y.astype(np.float32))
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    params["train"] |= {"models": list(MODELS), "folds": 2}
    params["train"]["mlp"] |= {"hidden": [8], "max_epochs": 2, "patience": 1}
    params["evaluate"]["bootstrap_samples"] = 100
    params["features"] |= {"families": ["report", "extended"], "csv": True}
    params["compute"]["workers"] = 1
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def tree(root: Path) -> dict[str, str]:
    """Every file of a project with the hash of its content; what is remembered apart."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }


def below(files: dict[str, str], out: str) -> dict[str, str]:
    """The part of a tree that is `out` or lies in it."""
    return {path: sha for path, sha in files.items() if path == out or path.startswith(f"{out}/")}


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
    write_project(root)
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
    for old, room in ((b"old", 0.0), (None, 0.5)):
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
