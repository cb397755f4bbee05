"""The driver of DVC: bring one step, or all, up to date, and version the collection.

`dvc.yaml` alone says what depends on what and DVC alone what is up to date; this module runs the
`dvc` beside the running Python and reports how each step ended. DVC and its steps run in a process
group of their own, of which nothing is left when a call returns or raises.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genre.errors import InputError
from genre.hints import command
from tasks import dvc_command, paths
from tasks.dvc_command import LOCK_RETRY_SECONDS, LOCK_WAIT_SECONDS, Say
from tasks.processes import StepTimeoutError
from tasks.transcript import BusyError, Event, Outcome, Said, StepError, Transcript

RAW_VERSION = paths.RAW.with_suffix(".dvc")  # what `dvc add data/raw` writes


@dataclass(frozen=True)
class Stage:
    """A step of `dvc.yaml`: its address (`train@mlp` where it is of a matrix) and its parents."""

    address: str
    parents: tuple[str, ...]


def stages(root: Path) -> dict[str, Stage]:
    """The steps of the project at `root` by address, parents before children.

    Raises `InputError` where `dvc.yaml` cannot be used.
    """
    lines: list[str] = []
    if dvc_command.run(["dag", "--dot"], root, lines.append) != 0:
        raise InputError("dvc.yaml: " + "\n".join(lines))
    parents: dict[str, list[str]] = {}
    for line in lines:
        if match := re.fullmatch(r'"([^"]+)";', line):
            parents[match[1]] = []
        elif match := re.fullmatch(r'"([^"]+)" -> "([^"]+)";', line):
            parents[match[2]].append(match[1])
    steps = {name: _steps_only(parents[name]) for name in _steps_only(list(parents))}
    ordered: dict[str, Stage] = {}
    while steps:
        name = next(name for name, before in steps.items() if not set(before) & steps.keys())
        ordered[name] = Stage(name, tuple(steps.pop(name)))
    return ordered


def bring_up_to_date(
    stage: str,
    root: Path,
    *,
    force: bool = False,
    timeout: float | None = None,
    lock_wait: float = LOCK_WAIT_SECONDS,
    on_line: Say = print,
) -> Outcome:
    """Run `dvc repro --single-item` for one step, whose parents must be up to date.

    `on_line` gets what the step prints, line by line; `timeout` and `lock_wait` are in seconds.

    Raises `InputError` with the step's message where it ended with exit code 2 (never to be tried
    again), `StepTimeoutError` after `timeout`, `BusyError` where another DVC command did not
    finish within `lock_wait`, and `StepError` otherwise.
    """
    command = ["repro", "--single-item", *(["--force"] if force else []), stage]

    def hear(event: Event) -> None:
        if isinstance(event, Said):
            on_line(event.line)

    try:
        outcomes = _repro(command, root, hear, on_line, timeout=timeout, lock_wait=lock_wait)
    except StepTimeoutError as error:
        raise StepTimeoutError(
            f"{stage}: {error}; if it needs more, raise retrain.step_timeout_seconds in params.yaml"
        ) from error
    mine = [outcome for outcome in outcomes if outcome.stage == stage]
    if len(mine) != 1:
        raise StepError(f"{stage}: DVC did not say how the step ended")
    if mine[0].error is not None:
        raise mine[0].error
    return mine[0]


def reproduce(
    root: Path,
    on_event: Callable[[Event], None],
    *,
    lock_wait: float = LOCK_WAIT_SECONDS,
) -> list[Outcome]:
    """Run one `dvc repro` for all steps; a failed one stops only those that depend on it.

    Returns how each step ended, in the order of the pipeline. Raises `BusyError` where
    another DVC command did not finish within `lock_wait` seconds, and `StepError` where DVC
    failed outside a step.
    """

    def say(line: str) -> None:
        on_event(Said("", line))

    command = ["repro", "--keep-going"]
    outcomes = _repro(command, root, on_event, say, timeout=None, lock_wait=lock_wait)
    if any(outcome.state == "skipped" for outcome in outcomes):  # DVC lists them in any order
        order = list(stages(root))
        outcomes.sort(key=lambda outcome: order.index(outcome.stage))
    return outcomes


def changed(root: Path, *, on_line: Say = print) -> set[str]:
    """The steps that DVC would run, or whose outputs it would bring back, were they asked for now.

    Steps after them are not named until those have run. Raises `StepError` where DVC fails.
    """
    lines = dvc_command.output(["status", "--json"], root, on_line)
    return set(json.loads(lines[-1]))


def push(root: Path, *, timeout: float | None = None, on_line: Say = print) -> str | None:
    """`dvc push` of the songs and of what the steps left, and say what was sent.

    Returns null where no default remote is configured. Raises `StepError` where DVC fails.
    """
    if not dvc_command.remote(root, on_line):
        return None
    lines = dvc_command.output(["push"], root, on_line, timeout=timeout)
    return lines[-1] if lines else "everything is there"


def version_collection(root: Path, *, on_line: Say = print) -> bool:
    """`dvc add data/raw` where it is new or changed; say whether it was.

    Where there is no collection nothing is done. Raises `StepError` where DVC fails.
    """
    if not (root / paths.RAW).is_dir():
        return False
    if (root / RAW_VERSION).exists():
        lines = dvc_command.output(["status", "--json", str(RAW_VERSION)], root, on_line)
        if json.loads(lines[-1]) == {}:
            return False
    # Not --quiet, which would keep from us that another command is at work.
    dvc_command.output(["add", str(paths.RAW)], root, on_line)
    return True


def restore_collection(root: Path, *, on_line: Say = print) -> None:
    """Bring back from DVC's cache the collection that `data/raw.dvc` names.

    Raises `BusyError` where another DVC command, which may be fetching them, did not finish in
    time, and `InputError` where the cache does not hold it.
    """
    try:
        dvc_command.output(["checkout", str(RAW_VERSION)], root, on_line)
    except BusyError:
        raise
    except StepError as error:
        on_line(str(error))
        raise InputError(
            f"{RAW_VERSION} names a collection that is not here: found neither {paths.RAW} nor its "
            "files in DVC's cache; fetch them "
            f"({command('dvc pull')}), or remove {RAW_VERSION} to start a new collection"
        ) from error


def _repro(
    command: list[str],
    root: Path,
    on_event: Callable[[Event], None],
    say: Say,
    *,
    timeout: float | None,
    lock_wait: float,
) -> list[Outcome]:
    """Run `dvc repro`, again while another DVC command holds a lock; return all outcomes."""
    start = time.monotonic()
    finished: dict[str, Outcome] = {}
    while True:
        transcript = Transcript(on_event)
        code = dvc_command.run(command, root, transcript.read, timeout=timeout)
        transcript.close(code)
        for outcome in transcript.outcomes:
            before = finished.get(outcome.stage)
            # What ran before the lock was met is "cached" the second time.
            if before is None or before.state not in ("ran", "restored"):
                finished[outcome.stage] = outcome
        if not transcript.busy:
            break
        waited = time.monotonic() - start
        if waited >= lock_wait:
            raise dvc_command.busy(root, lock_wait, transcript.busy)
        say(f"waiting for another DVC command, at most {lock_wait - waited:.0f} s more")
        time.sleep(LOCK_RETRY_SECONDS)
    if code != 0 and not any(outcome.error for outcome in finished.values()):
        raise StepError(f"dvc {' '.join(command)}: {transcript.complaint()}")
    return list(finished.values())


def _steps_only(names: list[str]) -> list[str]:
    """`names` without the data that `dvc add` versions."""
    return [name for name in names if not name.endswith(".dvc")]
