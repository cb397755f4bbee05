"""Status files of the steps, `.cache/steps/<stage>.json`: how each step of `dvc.yaml` ended.

Each step writes its own file, and goes on if it cannot be written (disk full). The state "running"
when DVC does not run means that the step was killed.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from genre.core.errors import GenreError, InputError
from genre.core.files import write_json
from genre.core.unexpected import BAD_INPUT
from genre.core.urls import redact
from tasks import STARTED

FOLDER = Path(".cache/steps")
STAGE = "DVC_STAGE"  # the variable in which DVC gives a step its name, such as train@mlp
RUNNING, RAN, FAILED = "running", "ran", "failed"

State = Literal["ran", "cached", "restored", "failed", "skipped"]

_left_out: list[str] = []


class StepError(GenreError):
    """A step failed, and may be retried."""


@dataclass(frozen=True)
class Outcome:
    """How one step ended.

    `state` is "ran"; "cached" (no dependency changed); "restored" (outputs from DVC's run cache);
    "failed", with the `error`; or "skipped" (a step before it failed). `summary` is the last line
    that the step printed; `set_aside` lists songs that were left out, with reasons.
    """

    stage: str
    state: State
    seconds: float = 0.0
    summary: str = ""
    error: GenreError | None = None
    set_aside: tuple[str, ...] = ()


def begin(root: Path) -> None:
    """Report the start of this process's step, if DVC runs it: print it and write the file."""
    if stage := os.environ.get(STAGE):
        print(f"{stage} …", flush=True)
        _write(stage, root, state=RUNNING, started=time.time(), seconds=0.0)


def set_aside(line: str) -> None:
    """Print a song that is left out, with the reason, and keep the line for `end`."""
    print(f"set aside: {line}")
    _left_out.append(line)


def end(root: Path, exit_code: int, *, summary: str = "", error: str = "") -> None:
    """Report the end of this process's step, if DVC runs it: print it and write the file."""
    if stage := os.environ.get(STAGE):
        seconds = time.monotonic() - STARTED
        print(f"{stage}: {'failed' if exit_code else duration(seconds)}", flush=True)
        _write(
            stage,
            root,
            state=FAILED if exit_code else RAN,
            started=time.time() - seconds,
            seconds=seconds,
            summary=redact(summary),
            error=redact(error),
            exit_code=exit_code,
            set_aside=[redact(line) for line in _left_out],
        )


def read(stage: str, root: Path, since: float) -> Outcome | None:
    """Read how a step ended after `since` (Unix time); None if it did not run since then."""
    try:
        found = json.loads((root / FOLDER / f"{stage}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found["started"] + found["seconds"] < since:
        return None
    if found["state"] == RUNNING:
        killed = StepError(f"{stage}: was killed (out of memory?)")
        return Outcome(stage, "failed", error=killed)
    seconds, aside = found["seconds"], tuple(found["set_aside"])
    if found["state"] == RAN:
        return Outcome(stage, "ran", seconds, found["summary"], set_aside=aside)
    kind = InputError if found["exit_code"] == BAD_INPUT else StepError
    return Outcome(stage, "failed", seconds, error=kind(f"{stage}: {found['error']}"))


def duration(seconds: float) -> str:
    """Format seconds: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _write(stage: str, root: Path, **content: Any) -> None:
    with suppress(OSError, GenreError):
        write_json(root / FOLDER / f"{stage}.json", {"stage": stage, **content})
