"""Flow `retrain`: add new songs, bring every step up to date, publish results.

    python -m flows.retrain [SOURCE] [--force]

The steps are submitted in the order of `dvc.yaml`, each waiting for its parents, and run one at a
time; a failed step stops only those that depend on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from prefect import allow_failure, flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows import SERVICES, artifacts, data_changes, steps
from flows.server import running_server
from flows.single_instance import AlreadyRunningError, single_instance
from genre.core.errors import InputError
from genre.core.params import PARAMS_FILE, RetrainParams, load_params
from genre.core.unexpected import as_error, one_line_errors
from genre.core.urls import redact
from runner import pipeline, processes
from tasks.io.step import BAD_INPUT, FAILED, OK

Futures = dict[str, PrefectFuture[Any]]
LOCK = SERVICES / "retrain" / "lock"
WARNING = "Warning"  # state name of a run that completed with a warning
SOURCES: dict[str, str] = {}  # sources of the command line by their redacted form
ONE_AT_A_TIME = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=1))


@flow(name="retrain", task_runner=ONE_AT_A_TIME)
def retrain(source: str | None = None, force: bool = False) -> State[Any]:
    """Add the songs of `retrain.inbox`, bring every step up to date and register the model.

    Args:
        source: more songs to add: a folder of genre folders, an archive of one, its URL, or demo.
            Prefect stores this parameter: do not give a URL with a password.
        force: run every step, even if no dependency changed.
    """
    root = Path()
    try:
        with single_instance(root / LOCK), processes.end_commands_on_error():
            params = load_params(root / PARAMS_FILE)
            futures = submit(source, force, root, params.retrain)
            wait(list(futures.values()))
            states = {name: future.state for name, future in futures.items()}
            changes = data_changes.changes(root) if artifacts.passed(states, "ingest") else ""
            artifacts.publish(states, root, params, changes)
            warning = artifacts.warning(states, root)
            if artifacts.passed(states, "register"):
                data_changes.save(root)
    except AlreadyRunningError as error:
        return Cancelled(message=str(error), data=error)
    except Exception as error:
        shown = as_error(error)
        return Failed(message=str(shown), data=shown)
    return outcome(states, warning)


def submit(source: str | None, force: bool, root: Path, params: RetrainParams) -> Futures:
    """Submit the task collect, then every step of `dvc.yaml` after its parents, then push.

    Raises `InputError` if `params.yaml` or `dvc.yaml` cannot be used.
    """
    stages = pipeline.stages(root)
    tasks = {
        name: steps.task_of(stage, params) for name, stage in (stages | steps.EXTRA_TASKS).items()
    }
    known = list(dict.fromkeys(name.partition("@")[0] for name in tasks))
    if unknown := params.steps.keys() - set(known):
        raise InputError(
            f"{PARAMS_FILE}: retrain.steps names {', '.join(sorted(unknown))}, "
            f"expected some of {', '.join(known)}"
        )
    collect, timeout = tasks[steps.COLLECT]
    source = SOURCES.get(source, source) if source else None
    collected = collect.submit(steps.COLLECT, source, params.inbox, timeout)
    wait([collected])
    untouched = unchanged(stages, root) if collected.state.is_completed() and not force else set()
    futures: Futures = {steps.COLLECT: collected}
    for name, stage in stages.items():
        step, timeout = tasks[name]
        parents = [futures[parent] for parent in stage.parents or (steps.COLLECT,)]
        futures[name] = step.submit(name, force, timeout, name in untouched, wait_for=parents)
    push, timeout = tasks[steps.PUSH]
    inner = {parent for stage in stages.values() for parent in stage.parents}
    last = [futures[name] for name in stages if name not in inner] or [collected]
    # Songs are pushed even if a step failed. Waiting for the last steps waits for all.
    futures[steps.PUSH] = push.submit(
        steps.PUSH, timeout, wait_for=[allow_failure(future) for future in last]
    )
    return futures


def unchanged(stages: Mapping[str, pipeline.Stage], root: Path) -> set[str]:
    """Return the steps that need not run: neither they nor their parents have changed.

    A step with `always_changed` always counts as changed.
    """
    changed = set(pipeline.status(root, on_line=get_run_logger().info))
    for name, stage in stages.items():  # parents come first
        if changed.intersection(stage.parents):
            changed.add(name)
    return stages.keys() - changed


def outcome(states: dict[str, State[Any]], warning: str | None = None) -> State[Any]:
    """Return the state of the run: failed if a step failed, with the messages of failed steps.

    A `warning` becomes the state name of a completed run, to be seen in the list of runs.
    """
    log = get_run_logger()
    if warning:
        log.warning(warning)
    ended = {name: state for name, state in states.items() if not state.is_completed()}
    if not ended:
        if warning:
            return Completed(name=WARNING, message=warning)
        idle = (steps.CACHED, steps.SKIPPED)
        changed = [state for name, state in states.items() if state.name not in idle]
        if not changed:
            return Completed(message="nothing has changed")
        last = [name for name in states if name != steps.PUSH][-1]
        return Completed(message=states[last].message)
    failed = [state for state in ended.values() if state.is_failed()]
    waiting = [name for name, state in ended.items() if not state.is_failed()]
    message = "; ".join(state.message or state.name or "" for state in failed)
    if waiting:
        message += f" (not run: {', '.join(waiting)})"
    log.error("Failed: %s", message)
    bad_input = next((e for e in map(error_of, failed) if isinstance(e, InputError)), None)
    return Failed(message=message, data=bad_input)


def error_of(state: State[Any]) -> Any:
    """Return the error of a failed task."""
    return state.result(raise_on_failure=False)


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Run the flow once, on the server of `make up` if it is running."""
    parser = argparse.ArgumentParser(prog="python -m flows.retrain")
    parser.add_argument("source", nargs="?", help="songs to add beside those of the inbox")
    parser.add_argument("--force", action="store_true", help="run every step")
    options = parser.parse_args(arguments)
    source = redact(options.source) if options.source else None
    if source:
        SOURCES[source] = options.source
    server = running_server()
    address = {PREFECT_API_URL: f"{server}/api"} if server else {}
    with temporary_settings(updates=address):
        state: State[Any] = retrain(source, options.force, return_state=True)
    if state.name == WARNING:
        print(f"warning: {state.message}", file=sys.stderr)
    if state.is_completed():
        return OK
    return BAD_INPUT if isinstance(error_of(state), InputError) else FAILED


if __name__ == "__main__":
    sys.exit(main())
