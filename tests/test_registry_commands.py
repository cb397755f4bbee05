"""The tables of `genre models`, on terminals and in pipes."""

from __future__ import annotations

import re

import pytest

from genre.cli.registry import HEADINGS, HISTORY_HEADINGS, print_table

VERSION = [
    *("12", "champion, previous", "2026-11-30 01:22", "boosting", "predefined"),
    *("87.5 % (77.1–95.8, validation)", "12345678", "abcdef12"),
]
CHANGE = ["2026-11-30 01:22:33", "12", "gate (root)", "better: macro-F1 +0.111 " * 12]


@pytest.mark.parametrize("width", [120, 100, 80, 40])
@pytest.mark.parametrize(("headings", "row"), [(HEADINGS, VERSION), (HISTORY_HEADINGS, CHANGE)])
def test_a_terminal_of_any_width_shows_all_of_every_cell(
    headings: tuple[str, ...],
    row: list[str],
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # makes rich treat this as a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))

    print_table(headings, [row])

    printed = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert max(map(len, printed.splitlines())) <= width
    assert sorted("".join(printed.split())) == sorted("".join([*headings, *row]).replace(" ", ""))


def test_a_pipe_gets_a_line_for_each_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    print_table(HISTORY_HEADINGS, [CHANGE, CHANGE])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(cell.strip() in line for line in lines[1:] for cell in CHANGE)
