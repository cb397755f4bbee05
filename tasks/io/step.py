"""Run a step: validate the parameters, report how it ended, return the exit code.

Exit codes: 0 done, 1 failed and may be retried, 2 bad input or parameter (never retried).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from genre.core import unexpected
from genre.core.files import disk_space_guard
from genre.core.params import PARAMS_FILE, Params, load_params
from tasks.io import outcomes

UNCHANGED = "unchanged: "  # prefix of the summary of a step that had nothing to do
OK, FAILED, BAD_INPUT = 0, unexpected.FAILED, unexpected.BAD_INPUT


def step(run: Callable[[Params, Path], str], root: Path = Path()) -> int:
    """Run one step in the project at `root`, print its summary line, and return its exit code."""
    # One thread: worker processes share the cores, and sums keep their order.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    outcomes.begin(root)
    try:
        with disk_space_guard():
            summary = run(load_params(root / PARAMS_FILE), root)
    except Exception as error:
        with suppress(OSError):  # so that earlier output comes before the error
            sys.stdout.flush()
        shown = unexpected.as_error(error)
        code = unexpected.print_error(shown)
        outcomes.end(root, code, error=str(shown))
        return code
    print(summary, flush=True)
    outcomes.end(root, OK, summary=summary)
    return OK
