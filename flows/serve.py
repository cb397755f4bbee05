"""Serve the deployments `retrain` and `classify`: schedules, and runs started in the UI.

Of each one run at a time.

A run that is due while another works is cancelled and says so, so that runs never pile up. Before
serving, what a killed predecessor left is settled: its runs are ended where they still work and
marked as crashed, the place that they held is free again, and of several runs that were missed
meanwhile only the last is made up. What a person has paused stays paused.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from prefect import Flow
from prefect import serve as prefect_serve
from prefect.client.base import PrefectHttpxSyncClient
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Schedule
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from flows.classify import classify
from flows.daemons import end_marked
from flows.records import READY_SECONDS, RUNNER
from flows.retrain import retrain
from flows.web import answers
from genre.errors import GenreError, ParameterError
from genre.params import Params, load_params
from genre.unforeseen import one_line
from tasks.cli import OK

NAME, CLASSIFY = "retrain", "classify"  # of the deployments; the flows have the same
UNFINISHED = ("RUNNING", "PENDING", "CANCELLING", "PAUSED")
TIMEOUT_SECONDS = 30

Known = dict[str, Any] | None  # a deployment, as the server tells it
ONE_AT_A_TIME = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
)


def serve(params: Params) -> None:
    """Serve until SIGTERM. Raises `ParameterError` where a `cron` is not a schedule."""
    timezone = params.retrain.timezone
    retraining = [schedule("retrain.cron", params.retrain.cron, timezone)]
    answering = []
    if params.classify.cron:
        answering = [schedule("classify.cron", params.classify.cron, timezone)]
    end_marked(Path(), RUNNER)
    wait_for_server(str(PREFECT_API_URL.value()))
    with client(str(PREFECT_API_URL.value())) as api:
        before = {name: settle(api, name, datetime.now(UTC)) for name in (NAME, CLASSIFY)}
    deployments = [
        deployment(one, name, as_left(schedules, before[name]), paused=is_paused(before[name]))
        for one, name, schedules in ((retrain, NAME, retraining), (classify, CLASSIFY, answering))
    ]
    prefect_serve(*deployments, pause_on_shutdown=False, print_starting_message=False)


def client(address: str) -> httpx.Client:
    """A client of the server's REST API that asks again where the server is busy."""
    return PrefectHttpxSyncClient(
        base_url=address, timeout=TIMEOUT_SECONDS, raise_on_all_errors=False
    )


def deployment(
    one: Flow[..., Any], name: str, schedules: list[Schedule], *, paused: bool
) -> RunnerDeployment:
    """The deployment of a flow, one run at a time."""
    made = one.to_deployment(
        name=name,
        schedules=schedules,
        paused=paused,
        concurrency_limit=ONE_AT_A_TIME,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment)  # a coroutine inside an event loop alone
    return made


def wait_for_server(address: str) -> None:
    """Wait until the server answers. Raises `GenreError` where it does not in time."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(f"{address}/health"):
        if time.monotonic() >= deadline:
            raise GenreError(f"{address}: found no Prefect server there; start it with make up")
        time.sleep(0.2)


def schedule(key: str, cron: str, timezone: str) -> Schedule:
    """The schedule of `key` in `params.yaml`, in `retrain.timezone`."""
    try:
        return Cron(cron, timezone=timezone)
    except ValueError as error:
        raise ParameterError(
            f"params.yaml: {key} is {cron!r} in the timezone {timezone!r}, "
            f'expected for example "0 3 * * *" in Europe/Berlin: {error}'
        ) from error


def as_left(schedules: list[Schedule], before: Known) -> list[Schedule]:
    """`schedules`, switched off where a person has switched the same one off in Prefect's page."""
    known = before["schedules"] if before else []
    off = {one["schedule"].get("cron") for one in known if not one["active"]}
    return [dataclasses.replace(one, active=one.cron not in off) for one in schedules]


def is_paused(before: Known) -> bool:
    """Whether a person has paused the deployment in Prefect's page."""
    return bool(before and before["paused"])


def settle(api: httpx.Client, name: str, now: datetime) -> Known:
    """Bring the server's record of the deployment's runs into line: nothing of it runs now.

    Returns what the server knows of the deployment; null where it does not know it yet.
    """
    answer = api.get(f"/deployments/name/{name}/{name}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    deployment: dict[str, Any] = answer.raise_for_status().json()
    for run in _runs(api, deployment["id"], {"type": {"any_": UNFINISHED}}):
        _set_state(api, run, "CRASHED", "the process that ran it was ended")
    limit = deployment.get("global_concurrency_limit")
    if limit is not None and limit["active_slots"]:
        _ask(api, "PATCH", f"/v2/concurrency_limits/{limit['id']}", {"active_slots": 0})
    scheduled = _runs(api, deployment["id"], {"type": {"any_": ["SCHEDULED"]}})
    missed = [run for run in scheduled if _due(run) < now]
    for run in sorted(missed, key=_due)[:-1]:
        _set_state(api, run, "CANCELLED", "missed while nothing served it; a later one is made up")
    return deployment


def _runs(api: httpx.Client, deployment: str, state: dict[str, Any]) -> list[dict[str, Any]]:
    body = {"flow_runs": {"state": state}, "deployments": {"id": {"any_": [deployment]}}}
    runs: list[dict[str, Any]] = _ask(api, "POST", "/flow_runs/filter", body).json()
    return runs


def _set_state(api: httpx.Client, run: dict[str, Any], kind: str, message: str) -> None:
    state = {"type": kind, "name": kind.capitalize(), "message": message}
    _ask(api, "POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})


def _ask(api: httpx.Client, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return api.request(method, path, json=body).raise_for_status()


def _due(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["next_scheduled_start_time"] or run["expected_start_time"])


@one_line
def main() -> int:
    """Serve from the project's folder; `flows.services` starts this."""
    serve(load_params())
    return OK


if __name__ == "__main__":
    sys.exit(main())
