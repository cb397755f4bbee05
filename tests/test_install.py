"""`make setup`: progress of pip, and explanations of failures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner import install

RETRY = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after "
    "connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection "
    "object at 0x7f3fc378dd50>: Failed to establish a new connection: [Errno 111] Connection "
    "refused')': /simple/cleanlab/"
)
CONFLICT = [
    "ERROR: Cannot install music-genre-pipeline==0.1.0 because these package versions have "
    "conflicting dependencies.",
    "ERROR: ResolutionImpossible: for help visit https://pip.pypa.io",
]


def test_large_downloads_and_phases_are_shown_and_single_packages_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0, 1, 2, 3, 9, 13, 14])
    monkeypatch.setattr(install.time, "monotonic", lambda: next(clock))

    shown = install.progress(
        [
            "Collecting av==18.1.0",
            "  Downloading av-18.1.0-cp311-abi3-linux.whl (9.0 MB)",
            "  Downloading https://host/whl/torch-2.13.0-cp311-linux.whl (190.4 MB)",
            "Collecting click>=8.1",
            "Collecting dvc>=3.67",
            "Installing collected packages: av, click, dvc",
        ]
    )

    assert list(shown) == [
        "     3 s  downloading torch-2.13.0-cp311-linux.whl (190.4 MB)",
        "    13 s  collected 3 packages",
        "    14 s  installing 3 packages (a minute or two) …",
    ]


def test_an_index_that_cannot_be_reached_is_not_reported_as_a_conflict() -> None:
    reason = install.reason(["Obtaining file:///project", RETRY, *CONFLICT])

    assert "cannot be reached (Failed to establish a new connection: [Errno 111] Con" in reason
    assert "conflict" not in reason


def test_a_conflict_is_reported_as_pip_reports_it() -> None:
    assert install.reason(["Collecting a", *CONFLICT]).splitlines() == [
        "pip install failed:",
        *CONFLICT,
    ]


def test_pip_without_network_ends_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runner.install", "--dry-run", "-t", tmp_path, "absent-package"],
        env={
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "PIP_RETRIES": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == install.BAD_INPUT
    assert done.stderr.startswith("error: the package index cannot be reached (")
    assert len(done.stderr.splitlines()) == 1
