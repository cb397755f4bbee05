"""How far a long job is, in a log."""

from __future__ import annotations

import pytest

from genre import progress


def test_the_start_of_the_workers_does_not_count_for_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 50.0, 51.0, 52.0, 53.0])  # the start, then after each song
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)

    assert list(progress.progress("abcd", total=4, what="songs")) == list("abcd")

    assert capsys.readouterr().out == "songs: 2 of 4, 1.0/s, 2 s left\n"
