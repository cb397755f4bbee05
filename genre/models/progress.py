"""Show how far a training is: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from genre.models.base import Epoch, Progress

LINE_SECONDS = 5.0  # between lines in a log


@contextmanager
def training_progress(what: str) -> Iterator[Progress]:
    """Yield the function that a model calls with steps done, steps at most, and both in words."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[words]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            bar = bars.add_task(what, total=None, words="")

            def draw(done: int, total: int, words: str, _: Sequence[Epoch] = ()) -> None:
                bars.update(bar, completed=done, total=total, words=words)

            yield draw
        return

    last = time.monotonic()

    def write(_done: int, _total: int, words: str, _rows: Sequence[Epoch] = ()) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            print(f"{what}: {words}", flush=True)

    yield write
