"""Run the `dvc` beside the running Python, and mend what a killed one leaves."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from genre.errors import InputError
from tasks import lockfile, processes
from tasks.transcript import BUSY, BusyError, StepError

LOCK_WAIT_SECONDS = 60.0  # how long another DVC command may keep us waiting
LOCK_RETRY_SECONDS = 2.0
RWLOCK = Path(".dvc/tmp/rwlock")  # which files which DVC command reads and writes, as JSON
CACHE = Path(".dvc/cache")
UNFINISHED = ("files/md5/.*.tmp", "files/md5/??/.*.tmp", "runs/??/*/.*.tmp")  # in the cache
RUNS = "runs/??/*"  # a folder a step and its dependencies; DVC stops for ever at an empty one
WRITING = ("add", "repro")

REMOTE = "core.remote="  # how `dvc config` names the default remote

Say = Callable[[str], None]


def run(arguments: list[str], root: Path, on_line: Say, *, timeout: float | None = None) -> int:
    """Run DVC in the project at `root` and return its exit code."""
    if not root.is_dir():
        raise InputError(f"{root}: no such folder, expected a project with a dvc.yaml")
    mend_rwlock(root)
    lockfile.mend(root)
    # -P: no folder of the project may stand in for one of DVC's packages.
    command = [sys.executable, "-P", "-m", "dvc", *arguments]
    if arguments[0] not in WRITING:
        return processes.run(command, cwd=root, env=environment(), on_line=on_line, timeout=timeout)
    sweep_cache(root)
    code = processes.run(command, cwd=root, env=environment(), on_line=on_line, timeout=timeout)
    lockfile.sort(root)
    if code != 0:
        sweep_cache(root)
    return code


def output(
    arguments: list[str], root: Path, on_line: Say, *, timeout: float | None = None
) -> list[str]:
    """The lines that a DVC command prints; waits for its lock.

    `timeout` is in seconds. Raises `StepError` where it fails, and `BusyError` where another DVC
    command did not finish within `LOCK_WAIT_SECONDS`.
    """
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        lines: list[str] = []
        code = run(arguments, root, lines.append, timeout=timeout)
        if code == 0:
            return lines
        text = "\n".join(lines)
        if not BUSY.search(text):
            raise StepError(f"dvc {' '.join(arguments)}: {text}")
        if time.monotonic() >= deadline:
            raise busy(root, LOCK_WAIT_SECONDS, text)
        on_line("waiting for another DVC command")
        time.sleep(LOCK_RETRY_SECONDS)


def busy(root: Path, waited: float, said: str) -> BusyError:
    """The error of a command that waited so many seconds for another one; `said` is DVC's word."""
    return BusyError(
        f"another DVC command works in {root.resolve()} and did not finish within {waited:g} s; "
        f"wait for it, then run the same again ({said})"
    )


def remote(root: Path, on_line: Say) -> str:
    """The name of the default remote; empty where there is none."""
    settings = output(["config", "--list"], root, on_line)
    found = [line.removeprefix(REMOTE) for line in settings if line.startswith(REMOTE)]
    return found[-1] if found else ""


def environment() -> dict[str, str]:
    """The environment of DVC and the steps: this Python's programs first, lines at once."""
    here = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{path}",
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def mend_rwlock(root: Path) -> None:
    """Remove DVC's list of busy files where a kill cut it off, which would stop DVC for ever.

    It is judged while holding the lock that DVC holds when it writes the list.
    """
    import zc.lockfile  # type: ignore[import-untyped]

    rwlock = root / RWLOCK
    if _is_whole(rwlock):
        return
    with contextlib.suppress(zc.lockfile.LockError):
        lock = zc.lockfile.LockFile(str(rwlock.with_name("rwlock.lock")))
        try:
            if not _is_whole(rwlock):
                rwlock.unlink(missing_ok=True)
        finally:
            lock.close()


def sweep_cache(root: Path) -> None:
    """Remove what DVC left half-written in the project's own cache, killed or for want of room.

    Only while no other DVC command can be writing there: the next one would sweep up after it.
    """
    import zc.lockfile

    cache = root / CACHE
    files = [path for pattern in UNFINISHED for path in cache.glob(pattern)]
    touched = {path.parent for path in files}
    folders = [path for path in cache.glob(RUNS) if path in touched or not any(path.iterdir())]
    if not files and not folders:
        return
    with contextlib.suppress(zc.lockfile.LockError):
        lock = zc.lockfile.LockFile(str(root / lockfile.DVC_LOCK))
        try:
            for file in files:
                file.unlink(missing_ok=True)
            for folder in folders:
                with contextlib.suppress(OSError):  # it holds something now
                    folder.rmdir()
        finally:
            lock.close()


def _is_whole(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True
