"""Markdown tables for reports, model cards and Prefect artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

MARKS = re.compile(r"[\\|`<*]|(?<!\w)_|_(?!\w)|(?<=\])\(")  # that Markdown interprets


def table(
    heading: Sequence[str], rows: Iterable[Sequence[Any]], *, left: int = 1, raw: bool = False
) -> str:
    """Return a Markdown table whose columns after the first `left` are right-aligned.

    Cells are escaped unless `raw`.
    """
    from tabulate import tabulate

    lines = [[str(value) if raw else cell(value) for value in row] for row in rows]
    alignment = [*["left"] * left, *["right"] * (len(heading) - left)]
    text = tabulate(lines, heading, "pipe", disable_numparse=True, colalign=alignment)
    return str(text)


def cell(value: Any) -> str:
    """Escape a value for a table cell: one line, printable, no Markdown."""
    text = " ".join(str(value).split())
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return MARKS.sub(r"\\\g<0>", text)
