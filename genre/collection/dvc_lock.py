"""Wait until no DVC command reads the collection, by DVC's list of readers `.dvc/tmp/rwlock`.

DVC hashes the dependencies of a step after the step has run. A song that was added meanwhile would
count as processed, and no later run would scan it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genre.core.locks import try_lock

RWLOCK = Path(".dvc/tmp/rwlock")  # {"read": {path: [{"pid", "cmd"}]}, "write": {path: {…}}}
RWLOCK_LOCK = Path(".dvc/tmp/rwlock.lock")  # locked by DVC while it changes the list
POLL_SECONDS = 0.2


@contextmanager
def without_dvc_access(raw: Path, root: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Keep DVC commands of the project at `root` from reading or writing `raw` in the body.

    Waits, and logs it, until no command does. Keep the body short: DVC waits for three seconds.
    """
    if not (root / RWLOCK_LOCK).parent.is_dir():  # DVC has never run here
        yield
        return
    logged = False
    while True:
        with try_lock(root / RWLOCK_LOCK) as free:
            if free:
                busy = dvc_process(raw, root / RWLOCK)
                if busy is None:
                    yield
                    return
                if not logged:
                    log(f"Waiting for the run that reads the collection (process {busy}) …")
                    logged = True
        time.sleep(POLL_SECONDS)


def dvc_process(raw: Path, listed: Path) -> int | None:
    """Return the pid of a DVC command that reads or writes `raw`, a part or a parent of it."""
    try:
        content = json.loads(listed.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing, or truncated by a kill
        return None
    places = {raw.absolute(), raw.resolve()}
    for mode in ("read", "write"):
        for name, found in content.get(mode, {}).items():
            path = Path(name)
            if any(path.is_relative_to(one) or one.is_relative_to(path) for one in places):
                for entry in found if isinstance(found, list) else [found]:
                    if _is_dvc(entry):
                        return int(entry["pid"])
    return None


def _is_dvc(entry: dict[str, Any]) -> bool:
    """Whether that command still runs; the pid of a killed one may have been reused."""
    import psutil

    try:
        process = psutil.Process(int(entry["pid"]))
        return any("dvc" in word for word in process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
