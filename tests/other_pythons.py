"""Run the tests that may depend on the version of Python on every other one that is installed.

Each decodes songs and extracts features, whose bytes are compared. The newest does a short run.

    python tests/other_pythons.py

Finds the Pythons that `requires-python` allows, as `python3.12` on PATH and in pyenv. For each but
the running one it makes `.venv-3.12` and so on from requirements.lock, and runs the tests there.
uv installs: it links the files from its cache, so several environments share the disk space.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.specifiers import SpecifierSet

from genre.core.workers import core_count

PROJECT = Path(__file__).resolve().parent.parent
TESTS = ("test_audio.py",)
TESTS_OF_THE_NEWEST = (*TESTS, "test_short_run.py")
PYTEST = ("pytest", "pytest-timeout")  # what TESTS and pyproject.toml need of `dev`
MINORS = range(11, 30)
ASK = "import sys; print(*sys.version_info[:3], sys.prefix == sys.base_prefix)"
# BLAS and FFT on one thread, as in the steps of the pipeline.
ENVIRONMENT = {
    **os.environ,
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")},
}
SECONDS = 10  # in which a Python must respond

Version = tuple[int, int, int]


def candidates() -> Iterator[Path]:
    """Yield the paths at which a Python may be."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for minor in MINORS:
            yield Path(folder) / f"python3.{minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob("versions/3.*/bin/python3"))


def version_of(python: Path) -> Version | None:
    """Return the version of `python`, `None` if it does not run or is in a virtual environment.

    pyenv leaves shims on PATH that have no Python to run.
    """
    try:
        done = subprocess.run(
            [python, "-c", ASK], capture_output=True, text=True, timeout=SECONDS, check=True
        )
        major, minor, micro, is_base = done.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return (int(major), int(minor), int(micro)) if is_base == "True" else None


def find(allowed: SpecifierSet) -> dict[str, Path]:
    """Return the newest Python of each allowed minor version, by "3.12" and so on."""
    newest: dict[tuple[int, int], tuple[Version, Path]] = {}
    for python in candidates():
        if not os.access(python, os.X_OK) or (version := version_of(python)) is None:
            continue
        known = newest.get(version[:2])
        if ".".join(map(str, version)) in allowed and (known is None or version > known[0]):
            newest[version[:2]] = (version, python)
    return {f"{major}.{minor}": newest[major, minor][1] for major, minor in sorted(newest)}


def allowed() -> SpecifierSet:
    """Return `requires-python` of pyproject.toml."""
    content = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    return SpecifierSet(content["project"]["requires-python"])


def environment(name: str, python: Path) -> Path:
    """Return the Python of `.venv-<name>`, rebuilt if the lock or pyproject.toml changed."""
    folder = PROJECT / f".venv-{name}"
    stamp, program = folder / ".installed", folder / "bin/python"
    made_from = hashlib.sha256(f"{folder} {python}".encode())
    for file in ("requirements.lock", "pyproject.toml"):
        made_from.update((PROJECT / file).read_bytes())
    if stamp.is_file() and stamp.read_text() == made_from.hexdigest():
        return program
    shutil.rmtree(folder, ignore_errors=True)
    uv = str(Path(sys.executable).parent / "uv")
    install = [uv, "pip", "install", "--quiet", "--python", str(program)]
    for command in (
        [uv, "venv", "--quiet", "--python", str(python), str(folder)],
        [*install, "--constraint", "requirements.lock", "--editable", ".", *PYTEST],
    ):
        subprocess.run(command, cwd=PROJECT, check=True)
    stamp.write_text(made_from.hexdigest())
    return program


def features(python: Path) -> str:
    """Return the digest of decoded songs and their features on `python`."""
    command = [python, "tests/same_values.py"]
    done = subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def test(python: Path, tests: Sequence[str], expected: str) -> tuple[int, str]:
    """Compare the bytes of features with `expected`, run `tests`; returns exit code and output."""
    if (found := features(python)) != expected:
        return 1, f"features are not those of the running Python: {found}, expected {expected}"
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", *(f"tests/{name}" for name in tests)],
        cwd=PROJECT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def main() -> int:
    """Test every other Python; returns the exit code."""
    pythons = find(allowed())
    pythons.pop(f"{sys.version_info.major}.{sys.version_info.minor}", None)
    if not pythons:
        print(f"no other Python {allowed()} found on PATH and in pyenv: nothing to test")
        return 0
    programs = {}
    for name, python in pythons.items():
        start = time.monotonic()
        print(f"Python {name} ({python}): making .venv-{name} …", flush=True)
        programs[name] = environment(name, python)
        print(f"Python {name}: ready after {time.monotonic() - start:.0f} s", flush=True)
    expected = itertools.repeat(features(Path(sys.executable)))
    *older, _ = programs
    tests = [*(TESTS for _ in older), TESTS_OF_THE_NEWEST]
    failed = []
    with concurrent.futures.ThreadPoolExecutor(core_count()) as pool:
        results = pool.map(test, programs.values(), tests, expected)
        for name, (code, printed) in zip(programs, results, strict=True):
            print(f"\nPython {name}:\n{printed}", flush=True)
            if code != 0:
                failed.append(name)
    if failed:
        print(f"error: tests failed on Python {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:  # its program has printed why
        sys.exit(f"error: {error}")
