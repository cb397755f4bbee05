"""How far a long job is: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

LINE_SECONDS = 5.0  # between lines in a log


def progress(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Pass `items` on and show how many of `total` are done, the rate and the time left."""
    return (_bar if sys.stderr.isatty() else _lines)(items, total, what)


def _bar(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), "{task.fields[rate]}")
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, rate="")
        start = time.monotonic()
        for done, item in enumerate(items, start=1):
            yield item
            rate = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, completed=done, rate=f"{rate:.1f}/s")


def _lines(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if done == 1:
            start = now  # the first one took the start of the workers, too
        elif now - last >= LINE_SECONDS and done < total:
            last = now
            rate = (done - 1) / max(now - start, 1e-9)
            left = (total - done) / rate
            print(f"{what}: {done} of {total}, {rate:.1f}/s, {left:.0f} s left", flush=True)
