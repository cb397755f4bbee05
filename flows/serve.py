"""Serve the deployments `retrain` and `classify`: schedules, and runs started in the UI.

Of each one run at a time: the flows hold a lock, and a run that is due while another works is
cancelled and says so. (Not by a concurrency limit of Prefect: while a run holds a slot of it,
deleting the deployment or the limit makes the server refuse every later state of that run.)
Before serving, the records of a killed predecessor are corrected: its runs, whose processes
`flows.launch` has ended, are marked as crashed, and of several runs that were missed meanwhile only
the last is made up.

`params.yaml` decides when a deployment runs; a person decides in Prefect whether it does. What was
paused there stays paused, whatever its schedule was edited to.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from datetime import UTC, datetime
from typing import Any

import httpx
from prefect import Flow
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import (
    DeploymentSchedule,
    FlowRun,
    State,
    StateType,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.logging import get_logger
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows import deployments
from flows.classify import classify
from flows.deployments import Served
from flows.records import POLL_SECONDS, READY_SECONDS
from flows.retrain import retrain
from flows.web import answers
from genre.errors import GenreError, ParameterError
from genre.params import Params, load_params
from genre.unforeseen import one_line
from tasks.cli import OK

FLOWS: dict[str, Flow[..., Any]] = {"retrain": retrain, "classify": classify}
MOST_RUNS = 200  # the server returns no more at once
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.PAUSED]


def serve(params: Params) -> None:
    """Serve until SIGTERM. Raises `ParameterError` if a `cron` is not a schedule."""
    wanted(params)
    wait_for_server(str(PREFECT_API_URL.value()))
    with get_client(sync_client=True) as client:
        for name in FLOWS:
            settle(client, name, datetime.now(UTC))
    asyncio.run(run(params))


async def run(params: Params) -> None:
    """Apply the schedules now, and again whenever `make up` asks for it; run what is due."""
    runner = Runner(pause_on_shutdown=False)
    deployments.write_served(await apply(runner, params))
    async with asyncio.TaskGroup() as group:
        group.create_task(apply_when_asked(runner))
        await runner.start()


async def apply_when_asked(runner: Runner) -> None:
    """Apply `params.yaml` as it is now each time `make up` asks for it, for ever."""
    log = get_logger("schedules")
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if not deployments.ASKED.exists():
            continue
        try:
            served = await apply(runner, load_params())
        except GenreError as error:
            served = dataclasses.replace(deployments.read_served(), messages=[], error=str(error))
            log.error("%s", error)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            log.warning("the server cannot be asked (%s); trying again", error)
            continue
        deployments.write_served(served)


async def apply(runner: Runner, params: Params) -> Served:
    """Create or update both deployments and let the runner serve them.

    A schedule that is as it should be keeps its id, which messages name. Raises `ParameterError`
    if a `cron` is not a schedule.
    """
    timings, before = wanted(params), deployments.read_served().crons
    messages = []
    async with get_client() as client:
        for name, timing in timings.items():
            known = await read(client, name)
            made = await FLOWS[name].ato_deployment(
                name=name,
                schedules=[timing] if timing and known is None else [],
                paused=known is not None and known.paused,
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
            if known is not None:
                on = is_on(known, before.get(name, ""))
                messages += await replace_schedules(client, name, known, timing, on=on)
                made.model_fields_set.discard("schedules")  # not sent: it has them
                made.work_pool_name = None  # nothing but the runner would serve it there
            elif name in before:
                messages.append(f"{name} was missing in Prefect and is created again")
            await runner.aadd_deployment(made)
    for message in messages:
        get_logger("schedules").warning(message)
    return Served({name: one.cron if one else "" for name, one in timings.items()}, messages)


async def replace_schedules(
    client: PrefectClient,
    name: str,
    known: DeploymentResponse,
    timing: CronSchedule | None,
    *,
    on: bool,
) -> list[str]:
    """Leave a deployment with the schedule `timing` alone; return what was changed, in words."""
    same = [one for one in known.schedules if one.schedule == timing and not one.slug]
    kept = [one.id for one in same if one.active is on][:1]
    if timing is not None and not kept:  # before the others go: never without one
        await client.create_deployment_schedules(
            known.id, [DeploymentScheduleCreate(schedule=timing, active=on)]
        )
    messages = []
    for old in known.schedules:
        if old.id not in kept:
            await client.delete_deployment_schedule(known.id, old.id)
        if old.schedule != timing:
            messages.append(f"{name}: {replaced(name, old, timing)}")
    return messages


async def read(client: PrefectClient, name: str) -> DeploymentResponse | None:
    """A deployment as the server has it, or None."""
    try:
        return await client.read_deployment_by_name(f"{name}/{name}")
    except ObjectNotFound:
        return None


def wanted(params: Params) -> dict[str, CronSchedule | None]:
    """The schedule of each deployment in `params.yaml`, None for one that only runs when asked."""
    crons = {"retrain": params.retrain.cron, "classify": params.classify.cron}
    timezone = params.retrain.timezone
    return {
        name: schedule(f"{name}.cron", cron, timezone) if cron or name == "retrain" else None
        for name, cron in crons.items()
    }


def schedule(key: str, cron: str, timezone: str) -> CronSchedule:
    """The schedule of `key` in `params.yaml`, in `retrain.timezone`."""
    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        raise ParameterError(
            f"params.yaml: {key} is {cron!r} in the timezone {timezone!r}, "
            f'expected for example "0 3 * * *" in Europe/Berlin: {error.errors()[0]["msg"]}'
        ) from error


def is_on(known: DeploymentResponse, cron: str) -> bool:
    """Whether the schedule of `params.yaml` is to be active: as a person left it in Prefect.

    `cron` is the one that was applied last. A deployment that had a schedule and has none any more
    is off.
    """
    if not known.schedules:
        return not cron
    own = [one for one in known.schedules if getattr(one.schedule, "cron", "") == cron]
    return any(one.active for one in own or known.schedules)


def replaced(name: str, known: DeploymentSchedule, timing: CronSchedule | None) -> str:
    """Which schedule of the server was given up, and for which."""
    own = known.schedule.model_dump()
    text = str(own.get("cron") or own.get("rrule") or own.get("interval"))
    if timing is None:
        return f"the schedule {text!r} is removed: {name}.cron is empty"
    return (
        f"the schedule {text!r} ({own.get('timezone') or 'UTC'}) is replaced by {name}.cron, "
        f"{timing.cron!r} ({timing.timezone})"
    )


def wait_for_server(address: str) -> None:
    """Wait until the server responds. Raises `GenreError` if it does not in time."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(f"{address}/health"):
        if time.monotonic() >= deadline:
            raise GenreError(f"{address}: found no Prefect server there; start it with `make up`")
        time.sleep(0.2)


def settle(client: SyncPrefectClient, name: str, now: datetime) -> None:
    """Correct the server's record of a flow's served runs when none of them can be working.

    They are found by the flow, as their deployment may have been deleted.
    """
    for run in _runs(client, name, UNFINISHED):
        crashed: State[Any] = Crashed(message="the process that ran it was ended")
        client.set_flow_run_state(run.id, crashed, force=True)
    missed = [run for run in _runs(client, name, [StateType.SCHEDULED]) if _due(run) < now]
    for run in sorted(missed, key=_due)[:-1]:
        skipped: State[Any] = Cancelled(message="missed while nothing ran; a later one is made up")
        client.set_flow_run_state(run.id, skipped, force=True)


def _runs(client: SyncPrefectClient, name: str, states: list[StateType]) -> list[FlowRun]:
    """The runs of a flow in these states, without those that were started at a prompt."""
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[name])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=MOST_RUNS,
    )
    return [run for run in runs if run.deployment_id is not None]


def _due(run: FlowRun) -> datetime:
    due = run.next_scheduled_start_time or run.expected_start_time
    assert due is not None  # each run has one
    return due


@one_line
def main() -> int:
    """Serve from the project's folder; `flows.services` starts this."""
    serve(load_params())
    return OK


if __name__ == "__main__":
    sys.exit(main())
