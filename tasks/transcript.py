"""What `dvc repro` prints, read line by line: which step is at work and how each ended.

DVC passes on what a step prints, between lines of its own, and hides the step's exit code behind
its own 255; both are told apart here. Tested against the installed DVC by running it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from genre.errors import GenreError, InputError

BAD_INPUT = 2  # the exit code of a step whose input or parameter is bad

State = Literal["ran", "cached", "restored", "failed", "skipped"]

_RUNNING = re.compile(r"Running stage '(?P<stage>[^']+)':")
_UNCHANGED = re.compile(r"Stage '(?P<stage>[^']+)' didn't change, skipping")
_RESTORED = re.compile(r"Stage '(?P<stage>[^']+)' is cached - skipping run")
_SKIPPED = re.compile(r"WARNING: Stages? (?P<stages>'.+') will be skipped due to this failure")
_FAILED = re.compile(
    r"(?:WARNING|ERROR): (?:failed to reproduce '(?P<stage>[^']+)': )?"
    r"failed to run: .*, exited with (?P<code>-?\d+)$"
)
_NOT_DONE = re.compile(
    r"ERROR: failed to reproduce (?:stages: )?"
    r"(?P<stages>'[^']+'(?:(?:, | and )'[^']+')*)(?:: (?P<why>.+))?$"
)
_WARNING = "WARNING: "
_EMPTY = re.compile(r"WARNING: '.+' is empty\.")  # the folder of a family that is not chosen
SET_ASIDE = "set aside: "  # begins the line of a step about a song that it leaves out
_ERROR = re.compile(r"ERROR: (?P<message>.+)")
_HOUSEKEEPING = re.compile(
    r"(?:Generating|Updating) lock file|'.+' didn't change, skipping|Verifying data sources in"
    r"|To (?:track the changes|enable auto staging)|\t(?:git add|dvc config)|Use `dvc push`"
    r"|Data and pipelines are up to date"
)
BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")
_NO_ROOM = re.compile(
    r"No space left on device|quota exceeded|File too large|disk is full|disk I/O error", re.I
)
_BLOCKER = re.compile(r"\s+\(PID \d+\): ")


class StepError(GenreError):
    """A step failed; it may pass when it is tried again."""


class BusyError(StepError):
    """Another DVC command works in the project and did not finish in time."""


@dataclass(frozen=True)
class Outcome:
    """How one step ended.

    `state` is "ran"; "cached" (nothing it depends on changed); "restored" (its outputs came from
    DVC's run cache); "failed", with the `error`; or "skipped", because a step before it failed.
    `summary` is the last line that the step printed; `set_aside` names the songs that it left out,
    with the reasons.
    """

    stage: str
    state: State
    seconds: float = 0.0
    summary: str = ""
    error: GenreError | None = None
    set_aside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Started:
    """A step began to run."""

    stage: str


@dataclass(frozen=True)
class Said:
    """A step, or DVC (`stage` is then empty), printed a line."""

    stage: str
    line: str


Event = Started | Said | Outcome


class Transcript:
    """Reads the lines of one `dvc repro` and tells `on_event` what they mean."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self.outcomes: list[Outcome] = []
        self.busy = ""  # what DVC said when it met another DVC's lock
        self._on_event = on_event
        self._stage = ""
        self._header = False
        self._said: list[str] = []
        self._warnings: dict[str, str] = {}  # the last warning while each step was at work
        self._dvc_said: list[str] = []
        self._start = 0.0

    def read(self, line: str) -> None:
        """Read the next line."""
        if self._header and line.startswith("> "):  # the command itself
            return
        self._header = False
        if match := _RUNNING.fullmatch(line):
            self._finish("ran")
            self._begin(match["stage"])
        elif match := _UNCHANGED.match(line):
            self._finish("ran")
            self._record(Outcome(match["stage"], "cached"))
        elif match := _RESTORED.match(line):
            self._finish("ran")
            self._record(Outcome(match["stage"], "restored"))
        elif match := _FAILED.match(line):
            self._fail(match["stage"], int(match["code"]))
        elif not BUSY.search(line) and (match := _NOT_DONE.match(line)):
            for stage in _quoted(match["stages"]):
                self._fail_in_dvc(stage, match["why"])
        elif match := _SKIPPED.match(line):
            for stage in _quoted(match["stages"]):
                self._record(Outcome(stage, "skipped"))
        elif BUSY.search(line):
            self.busy = re.sub(r"^(?:ERROR|WARNING): ", "", line)
        elif self.busy and _BLOCKER.match(line):
            self.busy = f"{self.busy} {line.strip()}"
        elif _HOUSEKEEPING.match(line):
            self._finish("ran")
        else:
            self._say(line)

    def close(self, code: int) -> None:
        """Take the end of the output and DVC's own exit code into account."""
        if self._stage and code != 0:  # DVC itself failed, for instance on a missing output
            self._finish("failed", StepError(f"{self._stage}: {self.complaint()}"))
        self._finish("ran")

    def complaint(self) -> str:
        """What DVC itself said was wrong."""
        errors = [match["message"] for line in self._dvc_said if (match := _ERROR.match(line))]
        text = "; ".join(errors) or "\n".join(line for line in self._dvc_said[-5:] if line)
        return self._advised(text)

    def _advised(self, text: str) -> str:
        """What DVC said, with what to do where there was no room for its cache or database."""
        found = next((line for line in (text, *self._dvc_said) if _NO_ROOM.search(line)), None)
        if found is None:
            return text
        return (
            f"{found.removeprefix('ERROR: ')}: DVC's cache or database cannot be written: the disk "
            "is full, or a limit on file sizes reached. Make room, then run the same again"
        )

    def _begin(self, stage: str) -> None:
        self._stage, self._header, self._said = stage, True, []
        self._start = time.monotonic()
        self._on_event(Started(stage))

    def _say(self, line: str) -> None:
        if not line.strip() or _EMPTY.fullmatch(line):
            return
        if line.startswith(_WARNING) and self._stage:
            self._warnings[self._stage] = line.removeprefix(_WARNING)
        elif self._stage and not _ERROR.match(line):
            self._said.append(line)
        else:
            self._dvc_said.append(line)
        self._on_event(Said(self._stage, line))

    def _fail(self, stage: str | None, code: int) -> None:
        """The command of a step ended with `code`."""
        stage = stage or self._stage
        if not self._has_failed(stage):  # it is told twice: as a warning, and at the end
            kind = InputError if code == BAD_INPUT else StepError
            self._stage = stage
            self._finish("failed", kind(f"{stage}: {self._reason(code)}"))

    def _fail_in_dvc(self, stage: str, why: str | None) -> None:
        """DVC failed before or after the command of a step, for instance on a missing output."""
        if self._has_failed(stage) or self.busy:
            return
        why = why or self._warnings.get(stage, "DVC did not say why")
        error = StepError(f"{stage}: {self._advised(why)}")
        if self._stage == stage:
            self._finish("failed", error)
        else:
            self.outcomes = [outcome for outcome in self.outcomes if outcome.stage != stage]
            self._record(Outcome(stage, "failed", error=error))

    def _has_failed(self, stage: str) -> bool:
        return any(o.stage == stage and o.state == "failed" for o in self.outcomes)

    def _reason(self, code: int) -> str:
        """Why a step's command ended with `code`."""
        if code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            return f"ended by signal {number}" + (" (out of memory?)" if number == 9 else "")
        message, explained = last_error(self._said)
        return message if explained else f"{message} (exit code {code})"

    def _finish(self, state: State, error: GenreError | None = None) -> None:
        """Record how the step that is at work ended, if one is."""
        if not self._stage:
            return
        seconds = time.monotonic() - self._start
        summary = self._said[-1].strip() if self._said else ""
        aside = [line.removeprefix(SET_ASIDE) for line in self._said if line.startswith(SET_ASIDE)]
        self._record(Outcome(self._stage, state, seconds, summary, error, tuple(aside)))
        self._stage = ""

    def _record(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._on_event(outcome)


def last_error(lines: Sequence[str]) -> tuple[str, bool]:
    """What a failed command said was wrong: from its last `error: …` on, else its last line.

    The flag tells which: whether it explained itself.
    """
    for start in reversed(range(len(lines))):
        if lines[start].startswith("error: "):
            return "\n".join(lines[start:]).removeprefix("error: "), True
    return (lines[-1].strip() if lines else "it printed nothing"), False


def _quoted(names: str) -> list[str]:
    """The names in a list like 'a', 'b' and 'c'."""
    return re.findall(r"'([^']+)'", names)
