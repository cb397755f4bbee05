"""Markdown for Prefect's artifacts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; what stands in a cell cannot end it."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell(text) for text in line)} |" for line in lines)


def cell(value: Any) -> str:
    """A value as it can stand in a cell: file names may hold anything."""
    text = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in str(value))
    for sign in ("\\", "|", "`", "<", "["):
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", "<br>")
