"""Serve the deployments `retrain` and `classify`: schedules, and runs started in the UI.

A deployment gets the schedule of `params.yaml` when it is created, and when the schedule there has
changed. Otherwise its schedules are Prefect's: what was edited, paused or deleted there stays so.
`make up` sends SIGHUP to have `params.yaml` read again.

Of each one run at a time: the flows hold a lock, and a run that is due while another works is
cancelled and says so. (Not by a concurrency limit of Prefect: while a run holds a slot of it,
deleting the deployment or the limit makes the server refuse every later state of that run.)
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
from flows.server import POLL_SECONDS, READY_SECONDS, answers
from genre.core.errors import GenreError
from genre.core.params import Params, load_params
from genre.core.unexpected import one_line
from services import deployments
from tasks.io.step import OK

FLOWS: dict[str, Flow[..., Any]] = {"retrain": retrain, "classify": classify}
MOST_RUNS = 200  # the server returns no more at once
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.PAUSED]


async def serve(params: Params) -> None:
    """Serve until SIGTERM. Raises `ParameterError` if a `cron` is not a schedule."""
    runner, asked = Runner(pause_on_shutdown=False), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    await mark_crashed()
    await apply(runner, params)
    async with asyncio.TaskGroup() as group:
        group.create_task(apply_when_asked(runner, asked))
        await runner.start()


async def apply_when_asked(runner: Runner, asked: asyncio.Event) -> None:
    """Apply `params.yaml` as it is then each time `asked` is set, for ever."""
    while await asked.wait():
        asked.clear()
        try:
            await apply(runner, load_params())
        except (GenreError, httpx.HTTPError, PrefectHTTPStatusError) as error:
            get_logger("schedules").error("%s; make up tries again", error)


async def apply(runner: Runner, params: Params) -> None:
    """Create or update both deployments and let the runner serve them.

    Raises `ParameterError` if a `cron` is not a schedule.
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
                made.model_fields_set.discard("schedules")  # not sent: it has them
                made.work_pool_name = None  # nothing but the runner would serve it there
            await runner.aadd_deployment(made)


async def replace_schedules(
    client: PrefectClient, known: DeploymentResponse, timing: CronSchedule | None
) -> None:
    """Leave a deployment with the schedule `timing` alone, switched off if it was off before.

    One whose schedules were all deleted was off.
    """
    active = [one.active for one in known.schedules] or [known.version == deployments.NO_SCHEDULE]
    if timing is not None:  # before the others go: never without one
        new = DeploymentScheduleCreate(schedule=timing, active=any(active))
        await client.create_deployment_schedules(known.id, [new])
    for old in known.schedules:
        await client.delete_deployment_schedule(known.id, old.id)


async def read(client: PrefectClient, name: str) -> DeploymentResponse | None:
    """A deployment as the server has it, or None."""
    try:
        return await client.read_deployment_by_name(f"{name}/{name}")
    except ObjectNotFound:
        return None


async def mark_crashed() -> None:
    """Mark the served runs that a killed runner left; `services.launch` has ended their processes.

    They are found by the flow, as their deployment may have been deleted.
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
    while not answers(f"{address}/health"):
        if time.monotonic() >= deadline:
            raise GenreError(f"{address}: found no Prefect server there; start it with `make up`")
        time.sleep(POLL_SECONDS)


@one_line
def main() -> int:
    """Serve from the project's folder; supervisord starts this."""
    params = load_params()
    wait_for_server(str(PREFECT_API_URL.value()))
    asyncio.run(serve(params))
    return OK


if __name__ == "__main__":
    sys.exit(main())
