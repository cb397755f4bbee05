"""The deployments `retrain` and `classify` on Prefect's server.

The version of a deployment is the schedule of `params.yaml` that was last applied to it. Prefect is
imported only to validate a schedule, so that `make status` stays fast.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from flows.server import read_json
from genre.core import messages
from genre.core.errors import ParameterError
from genre.core.params import Params

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule

NAMES = ("retrain", "classify")  # the flows have the same names
NO_SCHEDULE = "no schedule"


def schedules(params: Params) -> dict[str, CronSchedule | None]:
    """Return the schedule of each deployment in `params.yaml`, or None.

    Raises `ParameterError` if a `cron` is invalid.
    """
    timezone = params.retrain.timezone
    classify = params.classify.cron
    return {
        "retrain": _schedule("retrain.cron", params.retrain.cron, timezone),
        "classify": _schedule("classify.cron", classify, timezone) if classify else None,
    }


def _schedule(key: str, cron: str, timezone: str) -> CronSchedule:
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        raise ParameterError(
            f"params.yaml: {key} is {cron!r} in the timezone {timezone!r}, "
            f'expected for example "0 3 * * *" in Europe/Berlin: {error.errors()[0]["msg"]}'
        ) from error


def version(schedule: CronSchedule | None) -> str:
    """Return the version of a deployment with `schedule`."""
    return NO_SCHEDULE if schedule is None else f"{schedule.cron} ({schedule.timezone})"


def read(server: str, name: str) -> dict[str, Any] | None:
    """Read a deployment from the Prefect server at `server`; None if it is missing."""
    found: dict[str, Any] | None = read_json(f"{server}/api/deployments/name/{name}/{name}")
    return found


def are_served(server: str, since: float, versions: dict[str, str] | None = None) -> bool:
    """Whether the runner has polled the deployments since `since` (Unix time).

    With `versions`, also whether they have these versions.
    """
    for name in NAMES:
        found = read(server, name)
        if found is None or (versions and found["version"] != versions[name]):
            return False
        polled = found["last_polled"]
        if polled is None or datetime.fromisoformat(polled).timestamp() <= since:
            return False
    return True


def missing(server: str) -> list[str]:
    """Return the names of deployments that are missing on the server."""
    return [name for name in NAMES if read(server, name) is None]


def notes(server: str) -> list[str]:
    """Return a line for each deployment that differs from `params.yaml`, with the remedy."""
    found = {name: read(server, name) for name in NAMES}
    return [line for name, one in found.items() if (line := _note(server, name, one))]


def _note(server: str, name: str, deployment: dict[str, Any] | None) -> str:
    if deployment is None:
        return f"{name} is missing in Prefect and does not run; `make up` creates it again"
    wanted, found = deployment["version"], deployment["schedules"]
    if deployment["paused"]:
        command = f"prefect api POST /deployments/{deployment['id']}/resume_deployment"
    elif found and not any(one["active"] for one in found):
        command = f"prefect deployment schedule resume {name}/{name} {found[0]['id']}"
    elif [_text(one["schedule"]) for one in found] != [wanted] and (found or wanted != NO_SCHEDULE):
        runs = ", ".join(_text(one["schedule"]) for one in found if one["active"]) or NO_SCHEDULE
        return f"{name} runs as edited in Prefect: {runs}; params.yaml has {wanted}"
    else:
        return ""
    command = messages.command(command, PREFECT_API_URL=f"{server}/api")
    return f"{name} is paused in Prefect; to resume it: {command}"


def _text(schedule: dict[str, Any]) -> str:
    timing = schedule.get("cron") or schedule.get("rrule") or f"every {schedule.get('interval')} s"
    return f"{timing} ({schedule.get('timezone') or 'UTC'})"
