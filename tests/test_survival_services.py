"""What `make up` started is killed, in every way that a night may bring; nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import registry_project
from flows_harness import alive, wait_until, write_stages
from services_harness import INGEST, LINGERING, Services, make_services_project, ours, popen, python

pytestmark = pytest.mark.slow

QUICK = {"ingest": INGEST}
UNTIL_TOLD = "touch started; while [ ! -e go ]; do sleep 0.2; done"
SLOW = {"ingest": {**INGEST, "cmd": f"{UNTIL_TOLD}; {INGEST['cmd']}"}}
LONG = "sleep 300 & echo $! > grandchild.pid; wait"
NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)

# Registers, and strikes the database when the model's files are about to be stored.
REGISTER = """
import pathlib
from genre.registry import package
from tasks import register

save = package.save

def strike(*arguments):
    save(*arguments)
    database = pathlib.Path("mlruns/mlflow.db")
    {strike}

package.save = strike
register.main()
"""


@pytest.fixture(scope="module")
def services(tmp_path_factory, project):
    root = make_services_project(tmp_path_factory.mktemp("services"), project)
    services = Services(root, project)
    services.up()
    services.later = services.order(due=NOON)
    yield services
    services.call("down")
    assert ours(root) == []


def start_long_run(services, command=LONG):
    """Order a run and wait until its step works; return its id, and the file with a process id."""
    write_stages(services.root, {"ingest": {**INGEST, "cmd": command}})
    pid_file = services.root / "grandchild.pid"
    pid_file.unlink(missing_ok=True)
    run = services.order(force=True)
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60)
    write_stages(services.root, QUICK)
    return run, pid_file


def check_that_nothing_was_lost(services, killed=None):
    """The schedules stand, what was killed has its record, and the next run does its work."""
    assert [one["active"] for one in services.deployment()["schedules"]] == [True]
    assert services.run(services.later)["state_name"] == "Scheduled"
    assert killed is None or services.run(killed)["state_name"] == "Crashed"
    assert services.wait_until_ended(services.order()) == "Completed"


def test_a_killed_runner_comes_back_and_makes_up_one_of_the_missed_runs(services):
    killed, pid_file = start_long_run(services, LINGERING)
    now = datetime.now(UTC)

    runner = services.kill("retrain")
    missed = [services.order(due=now - timedelta(days=days)) for days in (3, 2, 1)]

    services.wait_until_ready(but=[runner])
    assert not alive(pid_file)
    assert services.wait_until_ended(missed[2]) == "Completed"
    assert [services.run(run)["state_name"] for run in missed[:2]] == ["Cancelled", "Cancelled"]
    check_that_nothing_was_lost(services, killed)


def test_a_run_goes_on_while_server_and_pages_are_killed_and_come_back(services):
    write_stages(services.root, SLOW)
    run = services.order(force=True)
    wait_until((services.root / "started").exists, 60)
    runner = services.pid("retrain")

    killed = [services.kill("prefect"), services.kill("mlflow")]

    services.wait_until_ready(but=killed)
    assert services.pid("retrain") == runner
    (services.root / "go").touch()
    assert services.wait_until_ended(run) == "Completed"
    write_stages(services.root, QUICK)
    check_that_nothing_was_lost(services)


def test_a_killed_supervisord_comes_back_with_all_services(services):
    killed, pid_file = start_long_run(services)
    before = [services.pid(name) for name in ("prefect", "mlflow", "retrain")]
    (supervisor,) = ours(services.root, "supervisord")

    supervisor.kill()

    services.wait_until_ready(but=before)
    assert not alive(pid_file)
    check_that_nothing_was_lost(services, killed)


def test_after_a_reboot_the_unit_brings_back_all_and_ends_all(services):
    killed, pid_file = start_long_run(services)
    left = (services.root / ".services/supervisor.sock").stat()
    for name in ("keeper", "supervisord", None):  # what would bring others back first
        for process in ours(services.root, name):
            with contextlib.suppress(psutil.NoSuchProcess):  # it went with another
                process.kill()
    wait_until(lambda: not ours(services.root))
    assert not alive(pid_file)
    assert (services.root / ".services/supervisor.sock").stat().st_ino == left.st_ino
    (services.root / ".services/supervisord.pid").write_text(f"{os.getpid()}\n")

    with popen(services.root, services.project, "-m", "flows.services", "run") as foreground:
        services.wait_until_ready()
        check_that_nothing_was_lost(services, killed)
        again = services.call("run")
        foreground.send_signal(signal.SIGTERM)
        assert foreground.wait(60) == 0

    assert again.returncode == 2
    assert "already run" in again.stderr
    assert ours(services.root) == []
    assert services.call("down").stdout == "nothing was running\n"


@pytest.mark.parametrize(
    ("strike", "message"),
    [
        ("database.unlink()", "attempt to write a readonly database"),
        ("database.write_bytes(b'struck by lightning')", "not a database"),
    ],
    ids=["gone", "overwritten"],
)
def test_a_registration_whose_database_is_struck_says_so_and_the_next_one_registers(
    tmp_path, strike, message, project
):
    made = registry_project.make_project(tmp_path / "project")

    struck = python(made.root, project, "-c", REGISTER.format(strike=strike))

    assert struck.returncode == 2, struck.stdout + struck.stderr
    assert "the MLflow store cannot be used" in struck.stderr
    assert message in struck.stderr
    assert "Traceback" not in struck.stderr
    assert not (made.root / "mlruns/registered.json").exists()

    if message == "not a database":  # as the message says
        (made.root / "mlruns/mlflow.db").unlink()
    done = python(made.root, project, "-m", "tasks.register")

    assert done.returncode == 0, done.stderr
    assert made.receipt["version"] == "1"
    assert made.receipt["aliases"] == ["champion"]
