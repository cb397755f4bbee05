"""Supported Python versions, the same libraries for all, and `make setup`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import other_pythons
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
# Libraries that results depend on.
ONE_VERSION = (
    *("av", "contourpy", "joblib", "librosa", "llvmlite", "matplotlib", "networkx", "numba"),
    *("numpy", "pandas", "pillow", "pyarrow", "pydub", "safetensors", "scikit-learn", "scipy"),
    *("soundfile", "soxr", "torch"),
)
# Used by make as Python: logs its arguments, and creates environments that hold only itself.
PYTHON = """#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
*version_info*) exit ${UNFIT:-0} ;;
--version) echo "Python 3.10.13" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
esac
"""


class Project:
    """A folder with the inputs of `make setup`, and a Python that only logs its arguments."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.root = folder / "project"
        self.root.mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(source / name, self.root)
        self.log = folder / "log.txt"
        self.python = folder / "python"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)

    def make(self, root: Path | None = None, code: int = 0, **settings: str) -> tuple[str, str]:
        """`make setup`; returns what it printed and how Python was called."""
        self.log.write_text("")
        done = subprocess.run(
            ["make", "setup", f"PYTHON={self.python}"],
            cwd=root or self.root,
            env={**os.environ, "LOG": str(self.log), "MAKEFLAGS": "", **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout, self.log.read_text()


@pytest.fixture
def made(tmp_path: Path, project: Path) -> Project:
    """A project after `make setup`."""
    made = Project(tmp_path, project)
    _, calls = made.make()
    assert "-m venv .venv" in calls
    assert "-m runner.install" in calls
    return made


def test_a_second_setup_does_nothing(made: Project) -> None:
    assert made.make()[1] == ""


def test_the_environment_of_a_moved_project_is_rebuilt_once(made: Project) -> None:
    old, moved = made.root, made.root.parent / "a 'better' place"
    old.rename(moved)
    (moved / ".venv/stale").touch()

    printed, calls = made.make(moved)

    assert f".venv was moved here from {old}/.venv, and its scripts hold that path" in printed
    assert "-m venv .venv" in calls
    assert "-m runner.install" in calls
    assert not (moved / ".venv/stale").exists()
    assert made.make(moved)[1] == ""


def test_a_copy_of_a_project_gets_an_environment_of_its_own(made: Project) -> None:
    copy = shutil.copytree(made.root, made.root.parent / "copy", symlinks=True)

    assert "-m venv .venv" in made.make(copy)[1]
    assert made.make(copy)[1] == made.make()[1] == ""


def test_links_to_the_project_or_its_environment_change_nothing(made: Project) -> None:
    link = made.root.parent / "link"
    link.symlink_to(made.root)
    worktree = made.root.parent / "worktree"
    shutil.copytree(made.root, worktree, ignore=shutil.ignore_patterns(".venv"))
    (worktree / ".venv").symlink_to(made.root / ".venv")

    assert made.make(link)[1] == made.make(worktree)[1] == made.make()[1] == ""


def test_a_python_that_cannot_work_is_named_before_anything_is_made(
    tmp_path: Path, project: Path
) -> None:
    unfit = Project(tmp_path, project)

    printed, _ = unfit.make(code=2, UNFIT="1")

    assert "found 'Python 3.10.13', expected Python 3.11 3.12 3.13 3.14" in printed
    assert re.search(r"Type: make setup PYTHON=python3\.1[1-4]", printed)
    assert not (unfit.root / ".venv").exists()


def test_make_and_the_package_name_the_same_pythons(project: Path) -> None:
    makefile = (project / "Makefile").read_text()
    first, end = re.search(
        r"not \((3, \d+)\) <= sys.version_info < \((3, \d+)\)", makefile
    ).groups()
    listed = re.search(r"(?m)^PYTHONS := (.*)$", makefile)[1].split()

    bounds = SpecifierSet(f">={first.replace(', ', '.')},<{end.replace(', ', '.')}")
    assert other_pythons.allowed() == bounds
    assert tuple(listed) == SUPPORTED
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}" in bounds] == listed


@pytest.mark.parametrize("name", ONE_VERSION)
def test_every_python_has_the_same_version_of_libraries_that_results_depend_on(
    project: Path, name: str
) -> None:
    lock = (project / "requirements.lock").read_text()
    pinned = [Requirement(line) for line in lock.splitlines() if line.startswith(f"{name}==")]

    assert len(pinned) == 1
    assert pinned[0].marker is None


def test_what_is_pinned_for_one_python_only_is_no_library_of_ours(project: Path) -> None:
    content = tomllib.loads((project / "pyproject.toml").read_text())
    ours = {Requirement(line).name for line in content["project"]["dependencies"]}
    lock = [Requirement(line) for line in (project / "requirements.lock").read_text().splitlines()]

    split = {one.name for one in lock if "python_full_version" in str(one.marker)}

    assert ours & split == {"audioop-lts"}  # a module that 3.13 dropped


def test_only_pythons_that_run_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {name: tmp_path / name for name in ("shims", "bin", "pyenv/versions/3.13.1/bin")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for path, body in (
        (folders["shims"] / "python3.12", "exit 127"),  # as pyenv's if it has no such Python
        (folders["bin"] / "python3.12", "echo 3 12 1 True"),
        (folders["bin"] / "python3.13", "echo 3 13 0 True"),
        (folders["pyenv/versions/3.13.1/bin"] / "python3", "echo 3 13 1 True"),
        (folders["bin"] / "python3.14", "echo 3 14 0 False"),  # of a virtual environment
        (folders["bin"] / "python3.15", "echo 3 15 0 True"),
    ):
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folders['shims']}{os.pathsep}{folders['bin']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))

    assert other_pythons.find(SpecifierSet(">=3.11,<3.15")) == {
        "3.12": folders["bin"] / "python3.12",
        "3.13": folders["pyenv/versions/3.13.1/bin"] / "python3",
    }
