"""Change the collection only while no step reads it; DVC lists who does in `.dvc/tmp/rwlock`.

DVC takes the hash of what a step has read after the step has run. A song that came meanwhile
would pass for read, and no later run would ever listen to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genre.core.locks import lock_if_free

LISTED = Path(".dvc/tmp/rwlock")  # {"read": {path: [{"pid", "cmd"}]}, "write": {path: {…}}}
GUARD = Path(".dvc/tmp/rwlock.lock")  # held by DVC while it changes the list
POLL_SECONDS = 0.2


@contextmanager
def held_off(raw: Path, root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Within this no DVC command of the project at `root` begins to read or write `raw`.

    Waits, and says so, while one does. Keep it short: DVC waits for three seconds.
    """
    if not (root / GUARD).parent.is_dir():  # DVC has never run here
        yield
        return
    told = False
    while True:
        with lock_if_free(root / GUARD) as free:
            if free:
                busy = at_work(raw, root / LISTED)
                if busy is None:
                    yield
                    return
                if not told:
                    say(f"Waiting for the run that reads the collection (process {busy}) …")
                    told = True
        time.sleep(POLL_SECONDS)


def at_work(raw: Path, listed: Path) -> int | None:
    """The process of a DVC command that reads or writes `raw`, or what it holds or lies in."""
    try:
        content = json.loads(listed.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or cut off by a kill
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
    """Whether that command still works; the number of a killed one may be another process's."""
    import psutil

    try:
        process = psutil.Process(int(entry["pid"]))
        return any("dvc" in word for word in process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
