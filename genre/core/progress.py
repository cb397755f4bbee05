"""How far a long job is: a bar on a terminal, a line every few seconds in a log."""

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
    """Yield a function that shows steps done, steps at most, and a few words.

    It ignores what else it is called with, as by a model with the points of its curves.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress

        columns = ("{task.description}", BarColumn(), "{task.fields[words]}")
        with Progress(*columns, console=Console(stderr=True)) as bars:
            bar = bars.add_task(what, total=None, words="")

            def draw(done: int, total: int, words: str, *_: object) -> None:
                bars.update(bar, completed=done, total=total, words=words)

            yield draw
        return

    last = time.monotonic()

    def write(_done: int, _total: int, words: str, *_: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            print(f"{what}: {words}", flush=True)

    yield write


def progress(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Pass `items` on and show how many of `total` are done, the rate and the time left."""
    with progress_bar(what) as show:
        first = 0.0
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            words = f"{done} of {total}"
            if done == 1:
                first = now  # the start of the workers does not count
            else:
                rate = (done - 1) / max(now - first, 1e-9)
                words += f", {rate:.1f}/s, {(total - done) / rate:.0f} s left"
            show(done, total, words)
