"""What `make up` was asked to run, and what of it runs now.

`.services/services.json` holds each service as it was started: a service that comes back by itself
has the same command and port, also where `params.yaml` has changed meanwhile. Whether it runs is
supervisord's to say; nothing here trusts a process id that was written down.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flows import SERVICES
from flows.supervision import RUNS, TRIES_AGAIN, states
from flows.web import answers
from genre.files import write_json

SERVER, MLFLOW, RUNNER = "prefect", "mlflow", "retrain"
PLAN = "services.json"
READY_SECONDS = 90.0  # far beyond what a slow machine needs
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Service:
    """One process to run: how, with what beside the common environment, and where it answers.

    `address` is empty where it answers nowhere.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    address: str = ""


@dataclass(frozen=True)
class Record:
    """A service that runs; `began` is in seconds since the epoch."""

    name: str
    pid: int
    began: float
    address: str


def write_plan(services: list[Service], folder: Path = SERVICES) -> None:
    """Keep what is going to run."""
    write_json(folder / PLAN, [asdict(service) for service in services])


def read_plan(folder: Path = SERVICES) -> list[Service]:
    """What was asked to run last; empty where nothing was, or the file is damaged."""
    try:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return [Service(**service) for service in plan]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def read_record(name: str, folder: Path = SERVICES) -> Record | None:
    """The record of a service that runs, else None."""
    found = (states(folder) or {}).get(name)
    service = {service.name: service for service in read_plan(folder)}.get(name)
    if found is None or service is None or found.state not in RUNS:
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        began = psutil.Process(found.pid).create_time()
        return Record(name, found.pid, began, service.address)
    return None


def running_server() -> Record | None:
    """Prefect's server, once it answers; None where none runs or comes back.

    Waits for one that is starting or being restarted. One that has not answered in `READY_SECONDS`
    is returned all the same: asking it says what is wrong.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        record = read_record(SERVER)
        if record is not None and answers(f"{record.address}/api/health"):
            return record
        found = (states() or {}).get(SERVER)
        if found is None or found.state not in TRIES_AGAIN or time.monotonic() >= deadline:
            return record
        time.sleep(POLL_SECONDS)
