"""Share work out to processes, one song at a time.

Every worker process keeps to one thread (`ONE_THREAD`), so that workers and cores match. Results
come back in the order of the work, whatever the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from genre.errors import GenreError

Item = TypeVar("Item")
Result = TypeVar("Result")

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
AHEAD = 8  # items in flight for each worker: enough to keep it busy, few enough to bound memory
LINE_SECONDS = 5.0  # between lines of progress in a log


def worker_count(workers: int) -> int:
    """`workers`, or the number of cores this process may use where it is 0."""
    return workers or len(os.sched_getaffinity(0))


def map_songs(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, computed by `workers` processes (0: one a core).

    `work` and the items must be picklable; an exception of `work` is raised here. Memory is
    bounded: at most `AHEAD` items a worker are in flight.
    """
    count = min(worker_count(workers), len(items))
    if count <= 1:
        yield from map(work, items)
        return
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        waiting: list[Future[Result]] = []
        queue = iter(items)
        try:
            for item in queue:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= AHEAD * count:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except BrokenProcessPool as error:
            raise GenreError(
                "a worker process died (out of memory, or killed); what was finished is kept: "
                "run the same command again, with fewer compute.workers if memory is short"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def progress(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Pass `items` on and show how far they are: a bar on a terminal, a line at times in a log."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            yield from bar.track(items, total=total, description=what)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_SECONDS and done < total:
            last = now
            rate = done / (now - start)
            left = (total - done) / rate
            print(f"{what}: {done} of {total}, {rate:.1f}/s, {left:.0f} s left", flush=True)
