"""Progress of a long job: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

LINE_SECONDS = 5.0  # between lines in a log


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[..., None]]:
    """Yield a function of `(done, total, text)` that shows progress; it ignores more arguments."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress

        columns = ("{task.description}", BarColumn(), "{task.fields[text]}")
        with Progress(*columns, console=Console(stderr=True)) as bars:
            bar = bars.add_task(what, total=None, text="")

            def draw(done: int, total: int, text: str, *_: object) -> None:
                bars.update(bar, completed=done, total=total, text=text)

            yield draw
        return

    last = time.monotonic()

    def write(_done: int, _total: int, text: str, *_: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            print(f"{what}: {text}", flush=True)

    yield write


def progress(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Yield `items` and show how many of `total` are done, the rate and the time left."""
    with progress_bar(what) as show:
        first = 0.0
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            text = f"{done} of {total}"
            if done == 1:
                first = now  # the start of the workers does not count
            else:
                rate = (done - 1) / max(now - first, 1e-9)
                text += f", {rate:.1f}/s, {(total - done) / rate:.0f} s left"
            show(done, total, text)
