"""Which processes `make up` started: one JSON file each, `.services/<name>.json`.

A record holds the process id and when that process began, so that a process id that has been given
to somebody else's process is never taken for ours, nor ended.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flows import SERVICES
from genre.files import write_json

SERVER, MLFLOW, RUNNER = "prefect", "mlflow", "retrain"
CLOCK_SECONDS = 2.0  # by how much the system's idea of a process's start may move


@dataclass(frozen=True)
class Record:
    """A process that was started as the leader of its own session and process group.

    `began` is in seconds since the epoch; `address` is empty for a process that has none.
    """

    name: str
    pid: int
    began: float
    address: str
    log: str

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.began) <= CLOCK_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        return False


def write_record(record: Record, folder: Path = SERVICES) -> None:
    """Keep `record`."""
    write_json(folder / f"{record.name}.json", asdict(record))


def read_record(name: str, folder: Path = SERVICES) -> Record | None:
    """The record of a process that still runs, else None."""
    try:
        record = Record(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.is_alive() else None


def forget(name: str, folder: Path = SERVICES) -> None:
    """Remove the record of a process that has ended."""
    (folder / f"{name}.json").unlink(missing_ok=True)
