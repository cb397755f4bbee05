"""Progress of a long job in a log."""

from __future__ import annotations

import pytest

from genre.core import progress


def test_the_start_of_the_workers_does_not_count_for_the_remaining_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)

    for number, _ in enumerate(progress.progress("abcd", total=4, what="songs")):
        now = 50.0 + 3 * number

    assert capsys.readouterr().out.splitlines() == [
        "songs: 1 of 4",
        "songs: 3 of 4, 0.3/s, 3 s left",
    ]
