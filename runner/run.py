"""`make run`: add songs to the collection, bring every step up to date, print a summary.

    python -m runner.run [SOURCE] [--sha256 HEX]

SOURCE is a folder of genre folders, an archive of one, its URL, or `demo`. Without it the
collection is used as it is; if there is none, demo songs are made. Exit codes: 0 done, 1 failed and
may be retried, 2 bad input or parameter, 130 interrupted by Ctrl-C.

The inputs of the models (features.families in params.yaml, auto): for the demo songs the student
report's 57 columns; for real songs 91 other columns, and the tags and embeddings that MusiCNN, a
pretrained network, predicts (29 MB, fetched once through pip).
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from genre.core.errors import InputError
from genre.core.files import disk_space_guard
from genre.core.params import PARAMS_FILE, load_params
from genre.core.unexpected import one_line_errors
from runner import collect, pipeline, summary
from runner.dvc_command import LogLine
from tasks.io.families import try_weights_again
from tasks.io.outcomes import duration
from tasks.io.step import BAD_INPUT, FAILED, OK

INTERRUPTED, TERMINATED = 130, 143
LOG_WIDTH = 120  # columns if stdout is not a terminal


class Terminated(BaseException):
    """SIGTERM: ends the run as Ctrl-C does."""


def run(source: str | None, sha256: str | None, root: Path, console: Console) -> int:
    """Run everything in the project at `root` and return the exit code.

    Raises `GenreError` for errors outside the steps.
    """
    start = time.monotonic()
    params = load_params(root / PARAMS_FILE)  # a typo is reported before any work

    def log(line: str) -> None:
        console.print(Text(line), soft_wrap=True)

    prepare_collection(source, sha256, root, log)
    collect.check_before_run(params, root)
    try_weights_again(params, root)
    outcomes = pipeline.reproduce(root, log)
    summary.show(outcomes, root, console)
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if failed:
        return BAD_INPUT if any(isinstance(error, InputError) for error in failed) else FAILED
    console.print(f"\nDone in {duration(time.monotonic() - start)}.")
    return OK


def prepare_collection(source: str | None, sha256: str | None, root: Path, log: LogLine) -> None:
    """Add the songs of `source`, or demo songs if there is no collection; version it with DVC."""
    versioned = (root / pipeline.RAW_VERSION).exists()
    collect.restore(root, log=log)
    if source is None and not collect.has_songs(root):
        log("There is no collection yet: making synthetic demo songs.")
        source = collect.DEMO
    if source is not None:
        collect.add(source, root, log=log, sha256=sha256)
    if not versioned:  # later changes are versioned by `dvc repro` itself
        pipeline.version_collection(root, on_line=log)


@one_line_errors
def main(arguments: list[str] | None = None) -> int:
    """Run from the command line in the project's folder."""
    parser = argparse.ArgumentParser(prog="python -m runner.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", nargs="?", help="songs to add first")
    parser.add_argument("--sha256", help="expected sha256 of the archive")
    options = parser.parse_args(arguments)
    if options.sha256 and not options.source:
        parser.error("--sha256 needs a SOURCE")
    signal.signal(signal.SIGTERM, _terminate)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = LOG_WIDTH
    try:
        with disk_space_guard():
            return run(options.source, options.sha256, Path(), console)
    except (KeyboardInterrupt, Terminated) as end:
        print("ended; finished steps are kept: run the same command to continue", file=sys.stderr)
        return TERMINATED if isinstance(end, Terminated) else INTERRUPTED


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
