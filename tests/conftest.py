"""Fixtures for all tests."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

# As in a step, and before the fork server of the workers starts.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prefect-")  # of each test process
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

PROJECT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for the number and the seed of random kills and damaged files."""
    group = parser.getgroup("soak")
    group.addoption(
        "--soak",
        action="store_true",
        help="run all kills, damaged files and archives instead of a few",
    )
    group.addoption(
        "--seed", type=int, default=0, help="seed of the kills and the damage (default 0)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Compile librosa before several processes import it.

    Where two compile its generalised ufuncs at once, numba's cache can be left with halves of both
    (numba issue 10128), and whoever loads them crashes, from then on.
    """
    if getattr(config.option, "numprocesses", None):
        # Not by EAGER_IMPORT: lazy_loader 0.6 imports in a random order, and some are circular.
        compile_all = "import librosa\nfor name in dir(librosa): getattr(librosa, name)"
        subprocess.run([sys.executable, "-c", compile_all], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slowest files, so that none of them runs alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(autouse=True)
def nothing_is_ending() -> None:
    """Reset the flag by which an earlier test ended its commands."""
    if processes := sys.modules.get("runner.processes"):
        processes._ending.clear()


@pytest.fixture(autouse=True, scope="module")
def as_it_was() -> Iterator[None]:
    """Restore `sys.path` after each module: MLflow adds the models that it loads."""
    with mock.patch.dict(os.environ), mock.patch.object(sys, "path", list(sys.path)):
        yield


@pytest.fixture
def in_new_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with default parameters as the current folder."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(PROJECT / "params.yaml", root)
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return root


@dataclass(frozen=True)
class Draws:
    """How many random cases a test draws."""

    soak: bool
    seed: int

    def count(self, few: int, all_of_them: int) -> int:
        """Return `few`, or `all_of_them` with `--soak`."""
        return all_of_them if self.soak else few

    def random(self) -> random.Random:
        """Return a new generator with the seed of `--seed`."""
        return random.Random(self.seed)


@pytest.fixture(scope="session")
def draws(pytestconfig: pytest.Config) -> Draws:
    """The options `--soak` and `--seed`."""
    return Draws(pytestconfig.getoption("soak"), pytestconfig.getoption("seed"))


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    """A Prefect server with a database of its own."""
    import httpx
    from prefect.testing.utilities import prefect_test_harness

    with contextlib.ExitStack() as stack:
        for attempt in range(3):
            try:
                stack.enter_context(prefect_test_harness(server_startup_timeout=120))
                break
            except httpx.TransportError:  # Prefect queries a server that is still starting
                if attempt == 2:
                    raise
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real audio beside the checkout; skips if it is missing."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real audio is not here (../shared/data)")
    return folder
