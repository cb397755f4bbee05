"""What every step does around its work: check the parameters, report, choose the exit code.

Exit codes: 0 done, 1 failed and may be tried again, 2 bad input or parameter (never tried again).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from genre.core import unexpected
from genre.core.files import room_for
from genre.core.params import PARAMS_FILE, Params, load_params
from tasks.io import outcomes

UNCHANGED = "unchanged: "  # begins the last line of a step that found nothing to do
OK, FAILED, BAD_INPUT = 0, unexpected.FAILED, unexpected.BAD_INPUT


def step(run: Callable[[Params, Path], str], root: Path = Path()) -> int:
    """Run one step in the project at `root`, print its summary line, and return its exit code."""
    # One thread each: the step's own processes share the cores, and sums keep their order.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    outcomes.begin(root)
    try:
        with room_for():
            summary = run(load_params(root / PARAMS_FILE), root)
    except Exception as error:
        with suppress(OSError):  # what was printed before the error comes before it
            sys.stdout.flush()
        shown = unexpected.as_error(error)
        code = unexpected.tell(shown)
        outcomes.end(root, code, error=str(shown))
        return code
    print(summary, flush=True)
    outcomes.end(root, OK, summary=summary)
    return OK
