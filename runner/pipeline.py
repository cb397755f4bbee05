"""Run DVC: bring one step or all steps up to date, and version the collection.

`dvc.yaml` defines the dependencies and DVC decides what is up to date; this module runs `dvc` in a
process group of its own and reports how each step ended.

A step that ran has a new status file (`tasks.io.outcomes`). If it has none, but its entry in
`dvc.lock` has changed, DVC restored it from its run cache; otherwise it was up to date.
"""

from __future__ import annotations

import functools
import json
import operator
import re
import time
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from genre.core.errors import InputError
from genre.core.messages import command
from genre.core.params import PARAMS_FILE
from runner import dvc_command
from runner.dvc_command import BusyError, CommandResult, LogLine
from runner.processes import StepTimeoutError
from runner.repair import LOADER
from tasks.io import outcomes, paths
from tasks.io.outcomes import Outcome, StepError

PIPELINE = "dvc.yaml"
RAW_VERSION = paths.RAW.with_suffix(".dvc")  # what `dvc add data/raw` writes
ALWAYS = ["always changed"]  # the status of a step with `always_changed`


@dataclass(frozen=True)
class Stage:
    """A step of `dvc.yaml`; its address is `train@mlp` if it is part of a matrix."""

    address: str
    description: str
    parents: tuple[str, ...]


def stages(root: Path) -> dict[str, Stage]:
    """Return the steps of the project at `root` by address, parents before children.

    Raises `InputError` if `dvc.yaml` cannot be used.
    """
    try:
        lines = dvc_command.output(["dag", "--dot"], root, print)
    except StepError as error:
        raise InputError(f"{PIPELINE}: {error}") from error
    steps = descriptions(root)
    parents: dict[str, list[str]] = {name: [] for name in steps}
    for before, name in re.findall(r'"([^"]+)" -> "([^"]+)";', "\n".join(lines)):
        if before in steps and name in steps:  # and neither is a `.dvc` file
            parents[name].append(before)
    order = TopologicalSorter(parents).static_order()
    return {name: Stage(name, steps[name], tuple(parents[name])) for name in order}


def descriptions(root: Path) -> dict[str, str]:
    """Return the description of each step by address, in the order of `dvc.yaml`."""
    params = _read_yaml(root / PARAMS_FILE)
    found: dict[str, str] = {}
    for name, stage in _read_yaml(root / PIPELINE)["stages"].items():
        addresses = [name]
        for values in stage.get("matrix", {}).values():
            if isinstance(values, str):  # ${train.models}
                values = functools.reduce(operator.getitem, values.strip("${}").split("."), params)
            addresses = [f"{name}@{value}" for value in values]
        found |= dict.fromkeys(addresses, stage.get("desc", ""))
    return found


def bring_up_to_date(
    stage: str,
    root: Path,
    *,
    force: bool = False,
    timeout: float | None = None,
    lock_wait: float | None = None,
    on_line: LogLine = print,
) -> Outcome:
    """Run `dvc repro --single-item` for one step, whose parents must be up to date.

    `on_line` gets what the step prints, line by line; `timeout` and `lock_wait` are in seconds.

    Raises `InputError` with the step's message if its exit code is 2 (never retried),
    `StepTimeoutError` after `timeout`, `BusyError` if another DVC command did not finish within
    `lock_wait`, and `StepError` for other failures.
    """
    start = time.time()
    arguments = ["repro", "--single-item", *(["--force"] if force else []), stage]
    try:
        done = dvc_command.run(arguments, root, on_line, timeout=timeout, lock_wait=lock_wait)
    except StepTimeoutError as error:
        raise StepTimeoutError(
            f"{stage}: {error}; to allow more, raise retrain.step_timeout_seconds in params.yaml"
        ) from error
    outcome = _outcome(stage, root, start, done)
    if outcome.error is not None:
        raise outcome.error
    if done.code != 0:
        raise StepError(f"{stage}: {done.error_message}")
    return outcome


def reproduce(root: Path, on_line: LogLine, *, lock_wait: float | None = None) -> list[Outcome]:
    """Run `dvc repro --keep-going`; a failed step stops only those that depend on it.

    `on_line` gets the output of the steps. Returns how each step ended, in the order of `dvc.yaml`.
    Raises `BusyError` if another DVC command did not finish within `lock_wait` seconds, and
    `StepError` if DVC failed outside a step.
    """
    start = time.time()
    done = dvc_command.run(["repro", "--keep-going"], root, on_line, lock_wait=lock_wait)
    if done.code == 0:
        return [_outcome(name, root, start, done) for name in descriptions(root)]
    failed = StepError(f"dvc repro: {done.error_message}")
    if done.disk_full:  # further DVC commands would fail, too
        raise failed
    found = _after_failure(root, start, done)
    if not any(outcome.error for outcome in found.values()):
        raise failed
    return [found[name] for name in descriptions(root)]


def status(root: Path, *, on_line: LogLine = print) -> dict[str, Any]:
    """Run `dvc status`: the changes of each step that DVC would run or restore now.

    Steps that depend on these are listed only after they have run. Raises `StepError` if DVC fails.
    """
    lines = dvc_command.output(["status", "--json"], root, on_line)
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def push(root: Path, *, timeout: float | None = None, on_line: LogLine = print) -> str | None:
    """Run `dvc push`; return DVC's summary, or None if there is no default remote.

    Raises `StepError` if DVC fails.
    """
    if not dvc_command.remote(root, on_line):
        return None
    lines = dvc_command.output(["push"], root, on_line, timeout=timeout)
    return lines[-1] if lines else "everything is up to date"


def version_collection(root: Path, *, on_line: LogLine = print) -> bool:
    """Run `dvc add data/raw` if there is a new or changed collection; return whether it ran.

    Raises `StepError` if DVC fails.
    """
    if not (root / paths.RAW).is_dir():
        return False
    if (root / RAW_VERSION).exists():
        lines = dvc_command.output(["status", "--json", str(RAW_VERSION)], root, on_line)
        if json.loads(lines[-1]) == {}:
            return False
    dvc_command.output(["add", str(paths.RAW)], root, on_line)
    return True


def restore_collection(root: Path, *, on_line: LogLine = print) -> None:
    """Check out the collection of `data/raw.dvc` from DVC's cache.

    Raises `BusyError` if another DVC command did not finish in time, and `InputError` if the cache
    does not hold the collection.
    """
    try:
        dvc_command.output(["checkout", str(RAW_VERSION)], root, on_line)
    except BusyError:
        raise
    except StepError as error:
        on_line(str(error))
        raise InputError(
            f"{RAW_VERSION} refers to a collection that is missing: found neither {paths.RAW} "
            "nor its files in DVC's cache; fetch them "
            f"({command('dvc pull')}), or remove {RAW_VERSION} to start a new collection"
        ) from error


def _outcome(stage: str, root: Path, start: float, done: CommandResult) -> Outcome:
    """How a step ended in a run since `start`, by its status file and `dvc.lock`."""
    if outcome := outcomes.read(stage, root, start):
        return replace(outcome, state="ran", error=None) if done.code == 0 else outcome
    return Outcome(stage, "restored" if stage in done.relocked else "cached")


def _after_failure(root: Path, start: float, done: CommandResult) -> dict[str, Outcome]:
    """How each step ended in a `dvc repro` that failed."""
    steps = stages(root)
    unfinished = [name for name, changes in status(root).items() if changes != ALWAYS]
    found: dict[str, Outcome] = {}
    for name, stage in steps.items():  # parents come first
        outcome = _outcome(name, root, start, done)
        if outcome.error is None:
            if any(found[parent].state in ("failed", "skipped") for parent in stage.parents):
                outcome = Outcome(name, "skipped")
            elif name in unfinished:  # DVC failed before or after it (no output, say)
                error = StepError(f"{name}: {done.error_message}")
                outcome = Outcome(name, "failed", outcome.seconds, error=error)
        found[name] = outcome
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    return content
