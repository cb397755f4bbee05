"""Serve the deployments `retrain` and `classify`: schedules, and runs started in the UI.

A deployment gets the schedule of `params.yaml` when it is created and when that schedule changes.
Otherwise changes made in Prefect (edited, paused, deleted schedules) are kept. `make up` sends
SIGHUP to reload `params.yaml`.

Each flow runs once at a time: it holds a lock, and a run that starts meanwhile is cancelled. (Not
by a concurrency limit of Prefect: if the deployment or the limit is deleted while a run holds a
slot, the server refuses all later states of that run.)
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import Any

import httpx
from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.logging import get_logger
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

from flows.classify import classify
from flows.retrain import retrain
from flows.server import POLL_SECONDS, READY_SECONDS, responds
from genre.core.errors import GenreError
from genre.core.params import Params, load_params
from genre.core.unexpected import one_line_errors
from services import deployments
from tasks.io.step import OK

FLOWS: dict[str, Flow[..., Any]] = {"retrain": retrain, "classify": classify}
MOST_RUNS = 200  # the most that the server returns
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.PAUSED]


async def serve(params: Params) -> None:
    """Serve until SIGTERM. Raises `ParameterError` if a `cron` is invalid."""
    runner, reload = Runner(pause_on_shutdown=False), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.set)
    await mark_crashed()
    await apply(runner, params)
    async with asyncio.TaskGroup() as group:
        group.create_task(apply_on_reload(runner, reload))
        await runner.start()


async def apply_on_reload(runner: Runner, reload: asyncio.Event) -> None:
    """Reload and apply `params.yaml` each time `reload` is set."""
    while await reload.wait():
        reload.clear()
        try:
            await apply(runner, load_params())
        except (GenreError, httpx.HTTPError, PrefectHTTPStatusError) as error:
            get_logger("schedules").error("%s; run make up to try again", error)


async def apply(runner: Runner, params: Params) -> None:
    """Create or update both deployments and let the runner serve them.

    Raises `ParameterError` if a `cron` is invalid.
    """
    timings = deployments.schedules(params)
    async with get_client() as client:
        for name, timing in timings.items():
            known = await read(client, name)
            version = deployments.version(timing)
            made = await FLOWS[name].ato_deployment(
                name=name,
                version=version,
                schedules=[timing] if timing and known is None else [],
                paused=known is not None and known.paused,
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
            if known is not None:
                if known.version != version:
                    await replace_schedules(client, known, timing)
                made.model_fields_set.discard("schedules")  # not sent: keep the schedules
                made.work_pool_name = None  # only the runner serves it
            await runner.aadd_deployment(made)


async def replace_schedules(
    client: PrefectClient, known: DeploymentResponse, timing: CronSchedule | None
) -> None:
    """Replace the schedules of a deployment by `timing`, inactive if they were inactive before.

    A deployment whose schedules were all deleted counts as inactive.
    """
    active = [one.active for one in known.schedules] or [known.version == deployments.NO_SCHEDULE]
    if timing is not None:  # before the others are deleted
        new = DeploymentScheduleCreate(schedule=timing, active=any(active))
        await client.create_deployment_schedules(known.id, [new])
    for old in known.schedules:
        await client.delete_deployment_schedule(known.id, old.id)


async def read(client: PrefectClient, name: str) -> DeploymentResponse | None:
    """Read a deployment from the server; None if it is missing."""
    try:
        return await client.read_deployment_by_name(f"{name}/{name}")
    except ObjectNotFound:
        return None


async def mark_crashed() -> None:
    """Mark unfinished runs of a killed runner as crashed (`services.launch` ended them).

    They are found by flow, as their deployment may have been deleted.
    """
    crashed: State[Any] = Crashed(message="the process that ran it was ended")
    async with get_client() as client:
        left = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)),
                deployment_id=FlowRunFilterDeploymentId(is_null_=False),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=MOST_RUNS,
        )
        for run in left:
            await client.set_flow_run_state(run.id, crashed, force=True)


def wait_for_server(address: str) -> None:
    """Wait until the server responds. Raises `GenreError` if it does not in time."""
    deadline = time.monotonic() + READY_SECONDS
    while not responds(f"{address}/health"):
        if time.monotonic() >= deadline:
            raise GenreError(f"{address}: found no Prefect server there; start it with `make up`")
        time.sleep(POLL_SECONDS)


@one_line_errors
def main() -> int:
    """Serve from the project's folder; supervisord starts this."""
    params = load_params()
    wait_for_server(str(PREFECT_API_URL.value()))
    asyncio.run(serve(params))
    return OK


if __name__ == "__main__":
    sys.exit(main())
