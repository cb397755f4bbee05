"""supervisord as it is configured here, with services of one line."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from flows_harness import wait_until
from services_harness import free_port, ours

from flows import daemons, services, supervision
from flows.launch import launch
from flows.records import Service, read_record, write_plan
from flows.status import status
from genre.errors import GenreError

pytestmark = pytest.mark.slow

CHATTY = "import time\nwhile True: print('talk ' * 20, flush=True); time.sleep(0.001)"
HOSTILE = 'it\'s "100% #1; %(here)s" '


@pytest.fixture
def supervise(tmp_path, monkeypatch, project):
    """Have supervisord run services in a folder of its own, this process's; return the folder."""
    started = []

    def start(*services, folder=tmp_path, log_bytes=1_000_000):
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PYTHONPATH", str(project))
        root = Path()
        names = [service.name for service in services]
        supervision.write_configuration(root, names, log_bytes, kept=False)
        write_plan(list(services))
        started.append(folder)
        process = daemons.start(root)
        assert daemons.is_supervised(root, process), daemons.ERRORS.read_text()
        return folder

    yield start
    for folder in started:
        daemons.end(folder)
        assert ours(folder.resolve()) == []


def waits(name="waits"):
    return Service(name, [sys.executable, "-c", "import time; time.sleep(60)"], {})


def test_a_chatty_service_keeps_to_its_log_and_two_before_it(supervise):
    folder = supervise(Service("chatty", [sys.executable, "-c", CHATTY], {}), log_bytes=20_000)
    logs = folder / ".services/logs"

    def oldest():
        with contextlib.suppress(FileNotFoundError):  # they are changing places
            return (logs / "chatty.log.2").stat().st_ino

    wait_until(oldest)
    first = next(found for found in iter(oldest, 0) if found)
    wait_until(lambda: oldest() not in (None, first))
    supervision.ask().supervisor.stopProcess("chatty")

    kept = {path.name: path.stat().st_size for path in logs.glob("chatty.log*")}
    assert kept.keys() == {"chatty.log", "chatty.log.1", "chatty.log.2"}
    assert all(size < 2 * 20_000 for size in kept.values())


def test_a_service_that_ends_again_and_again_is_given_up_and_that_is_said(supervise, monkeypatch):
    monkeypatch.setattr(supervision, "RETRIES", 1)
    ends = Service(
        "ends",
        [sys.executable, "-c", "raise SystemExit('no such thing')"],
        {},
        "http://127.0.0.1:1",
    )
    supervise(ends)

    with pytest.raises(GenreError, match=r"(?s)ends ended while it started.*no such thing"):
        daemons.wait_until_ready(ends, {"ends": ends}, fresh=False)

    said = []
    with pytest.raises(GenreError, match=r"not ready: ends \(given up\)"):
        status(Path(), said.append)
    assert "gave up: ends entered FATAL" in Path(".services/logs/supervisord.log").read_text()


def test_a_service_whose_port_is_free_only_later_is_tried_until_then(supervise, tmp_path):
    port = free_port()
    (tmp_path / "health").touch()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    late = Service("late", command, {}, f"http://127.0.0.1:{port}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        supervise(late)
        wait_until(lambda: supervision.states()["late"].state == "BACKOFF")

    daemons.wait_until_ready(late, {"late": late}, fresh=False)

    assert "Address already in use" in Path(".services/logs/late.log").read_text()


@pytest.mark.parametrize("name", ["deep " * 40, HOSTILE], ids=["longer than a socket's", "hostile"])
def test_a_folder_may_have_any_path(name, supervise, tmp_path):
    says = "import os, time; print(os.environ['SAYS'], flush=True); time.sleep(60)"
    folder = supervise(
        Service("says", [sys.executable, "-c", says, HOSTILE], {"SAYS": HOSTILE}),
        folder=tmp_path / name,
    )

    record = read_record("says")

    assert record is not None
    # For a moment, while the launcher becomes the service, its environment cannot be read.
    wait_until(lambda: [process.pid for process in ours(folder.resolve(), "says")] == [record.pid])
    wait_until(lambda: HOSTILE in (folder / ".services/logs/says.log").read_text())
    assert {path.name for path in folder.iterdir()} <= {".services", "health"}


def test_what_has_a_working_supervisord_is_not_taken_over(supervise):
    supervise(waits())
    before = read_record("waits")

    daemons.start(Path())  # a second one finds the socket in use
    wait_until(lambda: "already listening" in daemons.ERRORS.read_text())

    assert read_record("waits") == before
    wait_until(lambda: len(ours(Path().resolve(), "supervisord")) == 1)


def test_a_service_that_is_not_in_the_plan_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        launch("unknown")

    assert ended.value.code == 2
    assert "no service unknown" in capsys.readouterr().err


def test_what_has_only_begun_its_program_is_found_though_its_mark_cannot_be_read_at_once(
    tmp_path, monkeypatch
):
    environment = {**os.environ, **daemons.environment(tmp_path)}
    sleeper = subprocess.Popen(["sleep", "60"], env=environment)
    read = psutil.Process.environ
    asked = []

    def at_once(process):
        asked.append(process.pid)
        first = process.pid == sleeper.pid and asked.count(sleeper.pid) == 1
        return {} if first else read(process)

    monkeypatch.setattr(psutil.Process, "environ", at_once)
    try:
        assert [process.pid for process in daemons.marked(tmp_path)] == [sleeper.pid]
    finally:
        sleeper.kill()
        sleeper.wait()


def test_without_supervisord_the_services_say_how_to_install_it_and_flows_know_no_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervision, "find_spec", lambda _: None)

    assert services.main(["up"]) == 2
    assert "extra services: make up installs it" in capsys.readouterr().err
    assert supervision.states() is None
