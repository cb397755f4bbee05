"""The deployments `retrain` and `classify`: what the runner made of them, and what a person paused.

`make up` creates the file `ASKED`. The runner then brings the deployments to what `params.yaml`
says, leaves a record of that in `SERVED` and removes `ASKED`; it does the same when it starts. So
whatever was deleted or edited in Prefect is put right without ending what runs. Nothing here
imports Prefect, so that `make status` stays fast.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flows import SERVICES
from flows.records import POLL_SECONDS, READY_SECONDS
from flows.web import read_json
from genre import hints
from genre.errors import GenreError, InputError
from genre.files import write_json

NAMES = ("retrain", "classify")  # the flows have the same names
ASKED = SERVICES / "apply-schedules"
SERVED = SERVICES / "schedules.json"


@dataclass(frozen=True)
class Served:
    """What the runner applied last: the cron of each deployment, "" for one without a schedule.

    `messages` tell a person what it changed in Prefect; `error` is why it could change nothing.
    """

    crons: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    error: str = ""


def read_served(path: Path = SERVED) -> Served:
    """The record of the runner; an empty one if there is none, or it is damaged."""
    try:
        return Served(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return Served()


def write_served(served: Served) -> None:
    """Leave the record, then report to `make up` that it is done."""
    write_json(SERVED, asdict(served))
    ASKED.unlink(missing_ok=True)


def wait_until_applied() -> Served:
    """Wait until the runner has done what `ASKED` asks for.

    Raises `InputError` if `params.yaml` cannot be used, and `GenreError` if it takes too long.
    """
    deadline = time.monotonic() + READY_SECONDS
    while ASKED.exists():
        if time.monotonic() >= deadline:
            raise GenreError(
                f"the schedules were not applied within {READY_SECONDS:.0f} s; see "
                "`make status` and the log of retrain, or `make down` and `make up`"
            )
        time.sleep(POLL_SECONDS)
    served = read_served()
    if served.error:
        raise InputError(served.error)
    return served


def read(server: str, name: str) -> dict[str, Any] | None:
    """A deployment as the Prefect server at `server` has it, or None."""
    found: dict[str, Any] | None = read_json(f"{server}/api/deployments/name/{name}/{name}")
    return found


def warnings(server: str, crons: dict[str, str]) -> list[str]:
    """A line for each scheduled deployment that is missing or paused in Prefect, and what to type.

    `crons` are those of `Served`.
    """
    found = {name: read(server, name) for name, cron in crons.items() if cron}
    return [line for name, one in found.items() if (line := _warning(server, name, one))]


def _warning(server: str, name: str, deployment: dict[str, Any] | None) -> str:
    if deployment is None:
        return f"{name} is missing in Prefect and does not run; `make up` creates it again"
    schedules = deployment["schedules"]
    if deployment["paused"]:
        command = f"prefect api POST /deployments/{deployment['id']}/resume_deployment"
    elif not schedules:
        return (
            f"{name} is paused in Prefect (its schedule was deleted); `make up` creates a paused "
            "one and prints how to resume it"
        )
    elif not any(schedule["active"] for schedule in schedules):
        command = f"prefect deployment schedule resume {name}/{name} {schedules[0]['id']}"
    else:
        return ""
    command = hints.command(command, PREFECT_API_URL=f"{server}/api")
    return f"{name} is paused in Prefect; to resume it: {command}"
