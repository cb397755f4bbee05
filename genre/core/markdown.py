"""Markdown tables of reports, model cards and Prefect's artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

MARKS = re.compile(r"[\\|`<*]|(?<!\w)_|_(?!\w)|(?<=\])\(")  # with a meaning in Markdown


def table(
    heading: Sequence[str], rows: Iterable[Sequence[Any]], *, left: int = 1, raw: bool = False
) -> str:
    """A table; the columns after the first `left` are aligned to the right.

    Cells are shown as they are; with `raw` they are Markdown.
    """
    from tabulate import tabulate

    lines = [[str(value) if raw else cell(value) for value in row] for row in rows]
    alignment = [*["left"] * left, *["right"] * (len(heading) - left)]
    text = tabulate(lines, heading, "pipe", disable_numparse=True, colalign=alignment)
    return str(text)


def cell(value: Any) -> str:
    """A value escaped for a cell: file names may hold anything."""
    text = " ".join(str(value).split())
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return MARKS.sub(r"\\\g<0>", text)
