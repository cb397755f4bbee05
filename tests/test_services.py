"""`make up`, `make status`, `make down` and `make boot`, on free ports."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml
from flows_harness import alive, wait_until, write_stages
from params_file import change_params
from services_harness import (
    INGEST,
    LINGERING,
    client,
    listening,
    make_services_project,
    ours,
    popen,
    python,
    working_in,
)

from flows import server
from flows.server import Service
from genre.core.errors import GenreError
from services import control as command


@pytest.fixture(scope="module")
def services(tmp_path_factory, project):
    # Longer than a socket's path may be, with special characters of shells and supervisord.
    folder = tmp_path_factory.mktemp("services") / "it's 100 % deep".replace(" ", " " * 30)
    root = make_services_project(folder, project)
    with working_in(root, project) as services:
        with popen(root, project, "-m", "services.control", "up") as starting:
            wait_until(services.pids)
            early = python(root, project, "-m", "flows.retrain")
            out, err = starting.communicate(timeout=150)
        assert starting.returncode == 0, err
        assert services.prefect in out
        assert services.mlflow in out
        services.early = early
        yield services


def edit_params(services, section, **changes):
    change_params(services.root, {f"{section}.{key}": new for key, new in changes.items()})


@pytest.mark.slow
def test_both_servers_respond_on_this_machine_only(services):
    assert httpx.get(f"{services.prefect}/api/health").json() is True
    assert "<title>MLflow" in httpx.get(services.mlflow).text
    socket_file = services.root / ".services/supervisor.sock"
    assert stat.S_IMODE(socket_file.stat().st_mode) == 0o700
    settings = httpx.get(f"{services.prefect}/ui-settings").json()
    assert settings["api_url"] == f"{services.prefect}/api"  # else the UI uses another port
    assert listening(ours(services.root)) == {"127.0.0.1"}


@pytest.mark.slow
def test_a_retraining_while_they_start_waits_for_the_server(services):
    runs = services.ask("POST", "/flow_runs/filter", {"sort": "START_TIME_ASC"})

    assert services.early.returncode == 0, services.early.stderr
    assert "temporary server" not in services.early.stderr
    assert runs[0]["state_name"] == "Completed"
    assert runs[0]["deployment_id"] is None


@pytest.mark.slow
def test_status_lists_services_and_addresses(services):
    done = services.call("status")

    assert done.returncode == 0, done.stderr
    head, *lines, logs = done.stdout.splitlines()
    assert head.split()[:3] == ["service", "state", "pid"]
    for line, (name, pid) in zip(lines, services.pids().items(), strict=True):
        assert re.match(rf"{name} +ready +{pid} +\d+:\d\d:\d\d", line)
    assert services.mlflow in lines[1]
    assert logs == "logs are in .services/logs"


@pytest.mark.slow
def test_a_second_up_reports_running_services_and_changed_ports(services):
    before = services.pids()
    edit_params(services, "services", mlflow_port=1024)

    done = services.call("up")

    edit_params(services, "services", **services.ports)
    assert done.stdout.startswith("already running")
    assert "the services in params.yaml have changed" in done.stdout
    assert services.mlflow in done.stdout
    assert "other services" not in services.up().stdout
    assert services.pids() == before


@pytest.mark.slow
def test_the_server_puts_the_coming_nights_into_its_list_of_runs(services):
    body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    wait_until(lambda: services.ask("POST", "/flow_runs/count", body) >= 3, 90)


@pytest.mark.slow
def test_up_applies_a_new_cron_and_refuses_a_bad_one_while_they_run(services):
    before = services.pids()
    edit_params(services, "retrain", cron="nightly")
    refused = services.call("up")
    edit_params(services, "retrain", cron="30 4 * * *")
    services.up()

    assert refused.returncode == 2
    assert "retrain.cron is 'nightly'" in refused.stderr
    (schedule,) = services.deployment()["schedules"]
    assert schedule["active"]
    assert schedule["schedule"]["cron"] == "30 4 * * *"
    assert services.pids() == before


@pytest.mark.slow
def test_a_second_quick_run_at_the_same_time_is_cancelled(services):
    slow = {**INGEST, "cmd": f"sleep 8; {INGEST['cmd']}"}
    write_stages(services.root, {"ingest": slow})

    first = services.order()
    services.wait_for(first, "Running")
    second = services.order()

    cancelled = services.wait_for(second, "Cancelled")
    assert cancelled["state"]["message"].startswith("another retraining is running (process ")
    ended = services.wait_for(first, "Completed", "Failed")
    assert ended["state_name"] == "Completed", ended["state"]["message"]
    wait_until(lambda: services.steps(first)["ingest"]["state_name"] == "Completed")


@pytest.mark.slow
def test_a_deleted_deployment_is_created_again_by_up_during_a_run(services):
    slow = {**INGEST, "cmd": f"sleep 15; {INGEST['cmd']}"}
    write_stages(services.root, {"ingest": slow})
    working = services.order()
    services.wait_for(working, "Running")
    before = services.pids()
    with client(f"{services.prefect}/api") as api:
        api.delete(f"/deployments/{services.deployment()['id']}").raise_for_status()
    missing = services.call("status")

    done = services.up()

    assert missing.returncode == 1
    assert "retrain is missing in Prefect and does not run; `make up` creates" in missing.stdout
    assert "retrain was missing in Prefect and is created again" in done.stdout
    assert services.pids() == before
    assert services.deployment()["schedules"][0]["active"]
    assert services.wait_until_ended(working) == "Completed"
    write_stages(services.root, {"ingest": INGEST})
    assert services.wait_until_ended(services.order()) == "Completed"
    assert services.call("status").returncode == 0


@pytest.mark.slow
def test_cancelling_a_run_in_the_page_leaves_no_process_of_it(services):
    run, pid_file = services.long_run(LINGERING)

    services.ask(
        "POST",
        f"/flow_runs/{run}/set_state",
        {"state": {"type": "CANCELLING", "name": "Cancelling"}},
    )

    services.wait_for(run, "Cancelled")
    wait_until(lambda: not alive(pid_file))


@pytest.mark.slow
def test_down_leaves_no_process_not_even_of_a_retraining_and_keeps_the_history(services):
    _, pid_file = services.long_run(LINGERING)

    done = services.call("down")

    assert done.stdout == "ended: retrain, MLflow, Prefect\n"
    assert ours(services.root) == []
    assert not alive(pid_file)
    assert services.call("down").stdout == "nothing was running\n"
    assert services.call("status").stdout.startswith("nothing is running")
    with sqlite3.connect(services.root / ".services/prefect/prefect.db") as database:
        assert database.execute("select count(*) from flow_run").fetchone()[0] >= 4


@pytest.mark.slow
def test_a_taken_port_or_a_bad_cron_is_named_and_nothing_is_started(tmp_path, project):
    root = make_services_project(tmp_path, project)
    port = yaml.safe_load((root / "params.yaml").read_text())["services"]["mlflow_port"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with_port = python(root, project, "-m", "services.control", "up")
    make_services_project(tmp_path / "other", project, cron="every night")
    with_cron = python(tmp_path / "other", project, "-m", "services.control", "up")

    assert (with_port.returncode, with_cron.returncode) == (2, 2)
    assert f"services.mlflow_port is {port}" in with_port.stderr
    assert "retrain.cron is 'every night'" in with_cron.stderr
    assert ours(root) == ours(tmp_path / "other") == []


@pytest.mark.slow
def test_the_log_of_a_service_that_does_not_start_is_shown_and_the_others_are_ended(
    tmp_path, project
):
    root = make_services_project(tmp_path, project)
    (root / "mlruns").mkdir()
    (root / "mlruns/mlflow.db").write_text("no database" * 100)

    done = python(root, project, "-m", "services.control", "up")

    assert done.returncode == 1
    assert "mlflow ended while it started\nthe end of .services/logs/mlflow.log:" in done.stderr
    assert "file is not a database" in done.stderr
    assert ours(root) == []


def test_status_reports_services_that_were_given_up(monkeypatch):
    kept = {
        "prefect": Service("RUNNING", 1, time.time() - 90, "http://127.0.0.1:1"),
        "mlflow": Service("FATAL", 0, 0, "http://127.0.0.1:2"),
        "retrain": Service("BACKOFF", 0, 0, ""),
    }
    monkeypatch.setattr(server, "services", lambda: kept)
    output = []

    with pytest.raises(GenreError) as raised:
        command.status(Path(), output.append)

    assert re.match(r"prefect +starting +1 +0:01:3\d +http://127.0.0.1:1$", output[1])
    assert re.match(r"mlflow +given up +http://127.0.0.1:2$", output[2])
    named = "not ready: prefect (starting), mlflow (given up), retrain (restarting)"
    assert str(raised.value) == named


def test_without_supervisord_up_prints_how_to_install_it_and_flows_find_no_server(
    monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "supervisor", None)
    monkeypatch.setitem(sys.modules, "supervisor.xmlrpc", None)

    assert command.main(["up"]) == 2
    assert "extra services: make up installs it" in capsys.readouterr().err
    assert server.running_server() is None


def test_the_unit_for_boot_runs_this_project_and_is_not_installed(tmp_path, monkeypatch):
    root = tmp_path / "100 % mine"
    root.mkdir()
    monkeypatch.chdir(root)
    output = []

    command.boot(Path(), output.append)

    assert output[1] == f"  systemctl --user enable --now '{root}/.services/music-genre.service'"
    assert output[2].startswith("  loginctl enable-linger")
    unit = root / ".services/music-genre.service"
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    assert lines["WorkingDirectory"] == f"{tmp_path}/100 %% mine"
    assert lines["ExecStart"].endswith('" -m services.control run')
    assert lines["Restart"] == "always"
    assert lines["RestartPreventExitStatus"] == "0 2"  # `make down`, and bad input
    if shutil.which("systemd-analyze"):
        found = subprocess.run(
            ["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True
        )
        assert found.returncode == 0, found.stderr
        assert "music-genre" not in found.stderr
