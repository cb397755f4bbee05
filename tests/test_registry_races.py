"""Processes that write to the registry at once, on a SQLite store and on a server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import httpx
import pytest
from registry_project import Project, make_project, migrated_store, registered, restored

from genre import registry
from genre.core.errors import InputError
from genre.core.params import load_params
from genre.drift import reference
from genre.registry import aliases, lookup
from genre.registry.promotion import CHAMPION
from genre.registry.resolve import found_classifier
from tasks import register

pytestmark = pytest.mark.slow

NAME = "music-genre"
CHECKOUT = Path(__file__).parent.parent
REGISTER = "from tasks.register import main; main()"
PROMOTE = """
import sys
from pathlib import Path
from genre.core.params import load_params
from genre.registry import promote, rollback
params, root = load_params("params.yaml"), Path()
for number in sys.argv[1:]:
    promote(params, root, number, f"process {sys.argv[1:]}")
    rollback(params, root)
"""
# No lock reaches other machines, so a rollback may find no earlier champion.
PROMOTE_AT_SERVER = f"""
from genre.core.errors import GenreError

try:
{indent(PROMOTE.strip(), "    ")}
except GenreError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def project() -> Iterator[Project]:
    """A pipeline with two registered versions, the second champion, and a third model trained."""
    with restored(registered(("blues", "jazz"), ())) as made:
        made.retrain(seed=3)
        yield made


def start(
    root: Path, code: str, *words: str, store_of: Path | None = None
) -> subprocess.Popen[str]:
    """Run Python code in the project at `root`, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "DVC_ROOT": str(store_of or root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended_well(*processes: subprocess.Popen[str]) -> None:
    """Wait for all of them; each must have ended with exit code 0."""
    output = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), output


def is_sound(project: Project) -> None:
    """Every version has its files and a decision, and every alias a version."""
    store = project.store
    found = aliases.all_versions(store, NAME)
    assert {lookup.verify(store, version) for version in found} == {None}
    numbers = {str(version.version) for version in found}
    assert set(project.aliases.values()) <= numbers
    assert CHAMPION in project.aliases
    assert all(aliases.DECISION in version.tags for version in found)


@pytest.mark.slow
def test_promotions_and_registrations_at_once_follow_each_other(
    project: Project, tmp_path: Path
) -> None:
    twin = make_project(tmp_path / "twin", seed=5)

    ended_well(
        start(project.root, REGISTER),
        start(twin.root, REGISTER, store_of=project.root),
        start(project.root, PROMOTE, "1", "1", "1", "1"),
        start(project.root, PROMOTE, "1", "2", "1", "2"),
    )

    is_sound(project)
    assert len(aliases.all_versions(project.store, NAME)) == 4
    last = registry.history(project.params, project.root)[0]
    assert last["version"] == project.aliases[CHAMPION]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of an MLflow server that keeps the files too."""
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copyfile(migrated_store(), folder / "mlflow.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    where += ["--artifacts-destination", str(folder / "artifacts")]
    where += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *where],
            cwd=folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                if httpx.get(f"{address}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def of_server(root: Path, address: str, seed: int) -> Project:
    """A finished pipeline whose store is a server."""
    make_project(root, seed=seed)
    (root / "mlruns/mlflow.db").unlink()
    text = (root / "params.yaml").read_text().replace("sqlite:///mlruns/mlflow.db", address)
    (root / "params.yaml").write_text(text)
    return Project(root, load_params(root / "params.yaml"))


@pytest.mark.slow
def test_two_machines_at_one_server_leave_every_version_whole(server: str, tmp_path: Path) -> None:
    here, there = (of_server(tmp_path / name, server, seed) for seed, name in enumerate("ab"))

    ended_well(start(here.root, REGISTER), start(there.root, REGISTER))

    is_sound(here)
    assert [row["version"] for row in registry.models(here.params, here.root)] == ["2", "1"]
    champion = here.aliases[CHAMPION]
    other = {"1": "2", "2": "1"}[champion]
    registry.promote(here.params, here.root, other, "by hand")
    registry.rollback(there.params, there.root)
    assert there.aliases == {"champion": champion, "previous": other}
    assert registry.history(there.params, there.root)[0]["by"].startswith("rollback")
    ended_well(
        start(here.root, PROMOTE_AT_SERVER, other, champion, other),
        start(there.root, PROMOTE_AT_SERVER, champion, other, champion),
    )
    is_sound(here)


@pytest.mark.slow
def test_a_version_whose_files_a_server_lost_is_refused_and_the_champion_stays(
    server: str, tmp_path: Path
) -> None:
    here = of_server(tmp_path / "a", server, 0)
    register.run(here.params, here.root)
    here.retrain(seed=1)
    register.run(here.params, here.root)
    versions_there = aliases.all_versions(here.store, NAME)
    model = versions_there[1].source.rpartition("/models/")[2].split("/")[0]
    (found,) = (tmp_path / "server/artifacts").rglob(model)
    shutil.rmtree(found)

    with pytest.raises(InputError, match=r"version 1 of music-genre cannot become.*are gone"):
        registry.promote(here.params, here.root, "1")
    assert here.aliases[CHAMPION] == "2"
    assert register.run(here.params, here.root).startswith("unchanged: ")


@pytest.mark.slow
def test_a_server_gives_its_champion_with_its_reference(server: str, tmp_path: Path) -> None:
    here = of_server(tmp_path / "a", server, 0)
    register.run(here.params, here.root)
    with found_classifier(here.root, None) as found:
        assert reference.load(found.reference).songs == 9  # three of each genre
