"""Commands in process groups: no process is left, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from flows_harness import alive, wait_until

from runner import processes
from runner.processes import EndedError, StepTimeoutError

# A worker with a child, both ignoring SIGTERM.
LINGERING = "trap '' TERM; (sleep 300 & echo $! > grandchild.pid; wait) & echo $! > child.pid; wait"


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)


def run(root, command, **options):
    lines = []
    code = processes.run(
        ["sh", "-c", command], cwd=root, on_line=lines.append, **{"timeout": 30, **options}
    )
    return code, lines


def lingers(root):
    """Whether both processes of the command have written their ids."""
    files = root / "child.pid", root / "grandchild.pid"
    return all(file.exists() and file.read_text().strip() for file in files)


def nothing_is_left(root):
    return not alive(root / "child.pid") and not alive(root / "grandchild.pid")


def test_lines_of_output_and_errors_come_in_order_and_the_exit_code_is_returned(tmp_path):
    code, lines = run(tmp_path, r"echo one; echo two >&2; printf 'three\r\nfour'; exit 3")

    assert code == 3
    assert lines == ["one", "two", "three", "four"]


def test_a_command_that_a_signal_ended_returns_128_and_the_signal(tmp_path):
    assert run(tmp_path, "kill -9 $$") == (137, [])


def test_a_command_that_closes_its_output_is_waited_for(tmp_path):
    assert run(tmp_path, "exec >&- 2>&-; sleep 0.3; exit 4") == (4, [])


def test_passwords_in_urls_are_redacted(tmp_path):
    _, lines = run(tmp_path, "echo fetching https://me:secret@example.org/songs.zip")

    assert "secret" not in lines[0]


def test_a_time_out_leaves_no_process_behind(tmp_path):
    with pytest.raises(StepTimeoutError, match=r"ran longer than 0\.5 s"):
        run(tmp_path, LINGERING, timeout=0.5)

    assert nothing_is_left(tmp_path)


def test_a_process_left_in_the_background_is_ended(tmp_path):
    code, lines = run(tmp_path, "sleep 300 & echo $! > child.pid; echo done")

    assert (code, lines) == (0, ["done"])
    assert not alive(tmp_path / "child.pid")


def test_ending_all_from_another_thread_leaves_no_process_behind(tmp_path):
    raised = []

    def wait():
        try:
            run(tmp_path, LINGERING)
        except EndedError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    with pytest.raises(KeyboardInterrupt), processes.end_commands_on_error():
        thread.start()
        wait_until(lambda: lingers(tmp_path))
        raise KeyboardInterrupt
    thread.join(30)

    assert len(raised) == 1
    assert nothing_is_left(tmp_path)
    with pytest.raises(EndedError):
        run(tmp_path, "true")
    with processes.end_commands_on_error():  # a later run is not refused
        assert run(tmp_path, "true") == (0, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_parent_that_is_killed_leaves_no_process_behind(tmp_path, number, project):
    code = (
        "import sys; from pathlib import Path; from runner import processes; "
        "processes.GRACE_SECONDS = 0.3; "
        "processes.run(['sh', '-c', sys.argv[1]], cwd=Path(), on_line=print)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, LINGERING],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(project)},
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: lingers(tmp_path))
    parent.send_signal(number)
    parent.wait(30)

    wait_until(lambda: nothing_is_left(tmp_path))
