"""Services of `make up` are killed in different ways; nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import registry_project
from flows_harness import alive, wait_until, write_stages
from services_harness import (
    INGEST,
    LINGERING,
    client,
    make_services_project,
    ours,
    popen,
    python,
    working_in,
)

from services import supervision

pytestmark = pytest.mark.slow

QUICK = {"ingest": INGEST}
UNTIL_TOLD = "touch started; while [ ! -e go ]; do sleep 0.2; done"
SLOW = {"ingest": {**INGEST, "cmd": f"{UNTIL_TOLD}; {INGEST['cmd']}"}}
LONG = "sleep 300 & echo $! > grandchild.pid; wait"
NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)

# Registers, and damages the database before the model's files are stored.
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
    with working_in(root, project) as services:
        services.up()
        services.later = services.order(due=NOON)
        yield services


def check_that_nothing_was_lost(services, killed=None):
    """Later runs are still scheduled, the killed one is recorded, and the next run works."""
    assert services.run(services.later)["state_name"] == "Scheduled"
    assert killed is None or services.run(killed)["state_name"] == "Crashed"
    assert services.wait_until_ended(services.order()) == "Completed"


def test_a_killed_runner_is_restarted_and_runs_missed_runs(services):
    killed, pid_file = services.long_run(LINGERING)
    now = datetime.now(UTC)

    runner = services.kill("retrain")
    missed = [services.order(due=now - timedelta(days=days)) for days in (3, 2, 1)]

    services.wait_until_ready(but=[runner])
    assert not alive(pid_file)
    # One runs; another one is cancelled.
    ended = {services.wait_until_ended(run) for run in missed}
    assert "Completed" in ended
    assert ended <= {"Completed", "Cancelled"}
    check_that_nothing_was_lost(services, killed)


def test_a_run_continues_while_the_servers_are_killed_and_restarted(services):
    write_stages(services.root, SLOW)
    run = services.order(force=True)
    wait_until((services.root / "started").exists, 60)
    runner, group = services.pids()["retrain"], set(ours(services.root, "mlflow"))

    killed = [services.kill("prefect"), services.kill("mlflow")]

    services.wait_until_ready(but=killed)
    assert services.pids()["retrain"] == runner
    assert not group & set(ours(services.root, "mlflow"))  # none of its children holds its port
    (services.root / "go").touch()
    assert services.wait_until_ended(run) == "Completed"
    write_stages(services.root, QUICK)
    check_that_nothing_was_lost(services)


def test_services_of_a_killed_supervisord_are_reported_and_ended_by_down_or_up(services):
    """A schedule that was paused stays paused."""
    killed, pid_file = services.long_run(LINGERING)
    deployment = services.deployment()
    schedule = f"/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
    with client(f"{services.prefect}/api") as api:
        api.patch(schedule, json={"active": False}).raise_for_status()

    def kill_supervisord():
        (supervisor,) = ours(services.root, supervision.SUPERVISOR)
        supervisor.kill()
        wait_until(lambda: not ours(services.root, supervision.SUPERVISOR))

    kill_supervisord()
    status, down, left = services.call("status"), services.call("down"), ours(services.root)
    started = services.up()
    before = services.pids()
    kill_supervisord()
    services.up()

    assert status.returncode == 1
    assert "supervisord was killed" in status.stderr
    assert down.stdout.startswith("ended: ")
    assert left == []
    assert not alive(pid_file)
    assert "retrain is paused in Prefect; to resume it: PREFECT_API_URL=" in started.stdout
    assert not set(before.values()) & set(services.pids().values())
    check_that_nothing_was_lost(services, killed)


def test_after_a_reboot_the_unit_starts_and_ends_all_services(services):
    killed, pid_file = services.long_run(LONG)
    for process in [*ours(services.root, supervision.SUPERVISOR), *ours(services.root)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended with another
            process.kill()
    wait_until(lambda: not ours(services.root))
    assert not alive(pid_file)
    assert (services.root / ".services/supervisor.sock").exists()
    (services.root / ".services/supervisord.pid").write_text(f"{os.getpid()}\n")

    with popen(services.root, services.project, "-m", "services.control", "run") as foreground:
        try:
            services.wait_until_ready()
            check_that_nothing_was_lost(services, killed)
            again = services.call("run")
        finally:
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
def test_a_registration_with_a_damaged_database_fails_clearly_and_the_next_one_registers(
    tmp_path, strike, message, project
):
    made = registry_project.make_project(tmp_path / "project")

    struck = python(made.root, project, "-c", REGISTER.format(strike=strike))

    assert struck.returncode == 2, struck.stdout + struck.stderr
    assert "the MLflow store cannot be used" in struck.stderr
    assert message in struck.stderr
    assert "Traceback" not in struck.stderr
    assert not (made.root / "mlruns/registered.json").exists()

    if message == "not a database":  # as the message advises
        (made.root / "mlruns/mlflow.db").unlink()
    done = python(made.root, project, "-m", "tasks.register")

    assert done.returncode == 0, done.stderr
    assert made.receipt["version"] == "1"
    assert made.receipt["aliases"] == ["champion"]
