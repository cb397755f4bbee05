"""The steps as Prefect tasks, one each, named as in `dvc.yaml`.

Prefect schedules and retries; DVC decides what is up to date. So each task brings one DVC stage up
to date, and Prefect's own cache is off: it would disagree with DVC's. Retries, back-off and
time-out come from `retrain` in `params.yaml`. `runner.processes` enforces the time-out, because it
ends the whole process group of the step; Prefect's own time-out would end one process of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Cancelled, Completed, Failed
from prefect.tasks import Task, exponential_backoff

from genre.core import messages
from genre.core.errors import GenreError, InputError
from genre.core.params import PARAMS_FILE, RetrainParams, StepParams, load_params
from genre.core.unexpected import as_error
from runner import collect as collection
from runner import pipeline
from runner.pipeline import Stage
from runner.processes import EndedError, StepTimeoutError
from runner.summary import made_changes
from tasks.io.families import try_weights_again
from tasks.io.step import UNCHANGED

COLLECT, PUSH = "collect", "push"  # tasks before and after the stages of `dvc.yaml`
EXTRA_TASKS = {
    COLLECT: Stage(COLLECT, "Add new songs to the collection and version it", ()),
    PUSH: Stage(PUSH, "Push songs and results to DVC's remote, if there is one", ()),
}
CACHED, RESTORED, SKIPPED, TIMED_OUT = "Cached", "Restored", "Skipped", "TimedOut"
UP_TO_DATE = "Everything is up to date"  # DVC's message if there is nothing to push


def is_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed step is retried: not for bad input or a cancelled run."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, InputError | EndedError)


def run_name() -> str:
    """`train mlp` for the stage `train@mlp`."""
    stage: str = runtime.task_run.parameters["stage"]
    return stage.replace("@", " ")


def bring_up_to_date(
    stage: str, force: bool, timeout: float, unchanged: bool = False
) -> State[Any]:
    """Bring one DVC stage up to date within `timeout` seconds; return how it ended.

    `unchanged`: DVC has already reported no changes of the stage and its parents. A step that ran
    and had nothing to do counts as cached, too.
    """
    logger = get_run_logger()
    if unchanged and not force:
        return Completed(name=CACHED, message="no dependency changed")
    try:
        outcome = pipeline.bring_up_to_date(
            stage, Path(), force=force, timeout=timeout, on_line=logger.info
        )
    except Exception as error:
        return failure(as_error(error))
    if outcome.state == "cached":
        return Completed(name=CACHED, message="no dependency changed")
    if outcome.state == "restored":
        return Completed(name=RESTORED, message="outputs restored from DVC's run cache")
    if not made_changes(outcome):
        return Completed(name=CACHED, message=outcome.summary.removeprefix(UNCHANGED))
    return Completed(message=outcome.summary)


def collect(stage: str, source: str | None, inbox: str, timeout: float) -> State[Any]:
    """Add the songs of `inbox` and `source` to the collection and version it with DVC."""
    logger = get_run_logger()
    root = Path()
    try:
        collection.restore(root, log=logger.info)
        collection.add_inbox(Path(inbox), root, log=logger.info, timeout=timeout)
        if source:
            collection.add(source, root, log=logger.info, timeout=timeout)
        if not collection.has_songs(root):
            raise InputError(
                f"{stage}: the collection is empty; put songs into {inbox} in folders named as "
                f"their genres, give a source, or add songs: {messages.command('genre add SOURCE')}"
            )
        params = load_params(root / PARAMS_FILE)
        collection.check_before_run(params, root)
        try_weights_again(params, root)
        changed = pipeline.version_collection(root, on_line=logger.info)
    except Exception as error:
        return failure(as_error(error))
    if changed:
        return Completed(message="new version of the collection")
    return Completed(name=CACHED, message="the collection is unchanged")


def push(stage: str, timeout: float) -> State[Any]:
    """Push songs and outputs to DVC's default remote, if there is one."""
    logger = get_run_logger()
    try:
        sent = pipeline.push(Path(), timeout=timeout, on_line=logger.info)
    except Exception as error:
        return failure(as_error(error))
    if sent is None:
        add = messages.command("dvc remote add -d NAME URL")
        return Completed(name=SKIPPED, message=f"DVC has no default remote; to add one: {add}")
    logger.info(f"{stage}: {sent}")
    return Completed(name=CACHED if sent.startswith(UP_TO_DATE) else None, message=sent)


def failure(error: GenreError) -> State[Any]:
    """Return the state of a failed task, with the message of `error` and no traceback."""
    if isinstance(error, EndedError):
        return Cancelled(message=str(error), data=error)
    name = TIMED_OUT if isinstance(error, StepTimeoutError) else None
    return Failed(name=name, message=str(error), data=error)


Step = Task[..., State[Any]]
BODIES: dict[str, Callable[..., State[Any]]] = {COLLECT: collect, PUSH: push}


def task_of(stage: Stage, params: RetrainParams) -> tuple[Step, float]:
    """Return the task of a stage, with retries and back-off, and its time-out in seconds."""
    name = stage.address.partition("@")[0]
    own = params.steps.get(name, StepParams())
    delay = own.retry_delay_seconds
    delay = params.retry_delay_seconds if delay is None else delay
    declare = task(
        name=name,
        description=stage.description,
        task_run_name=run_name,
        cache_policy=NO_CACHE,
        retries=params.retries if own.retries is None else own.retries,
        retry_delay_seconds=exponential_backoff(delay),
        retry_condition_fn=is_retryable,
    )
    body = BODIES.get(name, bring_up_to_date)
    return declare(body), own.step_timeout_seconds or params.step_timeout_seconds
