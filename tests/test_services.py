"""`make up` and `make down` for real, on ports of the tests' own."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import psutil
import pytest
import yaml
from flows_harness import CHAIN, alive, make_project, wait_until, write_stages

from flows.daemons import MARK
from flows.records import Record, read_record, write_record

NAMES = ("prefect", "mlflow", "retrain")
LINGERING = "(trap '' TERM; sleep 300 & echo $! > grandchild.pid; wait) & wait"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_services_project(root, project, **retrain):
    make_project(root, {"ingest": CHAIN["ingest"]})
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["services"] = {"prefect_port": free_port(), "mlflow_port": free_port()}
    params["retrain"] |= retrain
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return root


def python(root, project, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def ours(root):
    """The processes that carry the mark of the services of a project."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").endswith(f"@{root}"):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


class Services:
    """A project whose services are up, and its server's REST API."""

    def __init__(self, root, project):
        self.root, self.project = root, project
        self.ports = yaml.safe_load((root / "params.yaml").read_text())["services"]
        self.prefect = f"http://127.0.0.1:{self.ports['prefect_port']}"
        self.mlflow = f"http://127.0.0.1:{self.ports['mlflow_port']}"

    def call(self, what):
        return python(self.root, self.project, "-m", "flows.services", what)

    def pid(self, name):
        return json.loads((self.root / f".services/{name}.json").read_text())["pid"]

    def kill(self, name):
        psutil.Process(self.pid(name)).kill()
        wait_until(lambda: read_record(name, self.root / ".services") is None)

    def ask(self, method, path, body=None):
        answer = httpx.request(method, f"{self.prefect}/api{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def deployment(self):
        return self.ask("GET", "/deployments/name/retrain/retrain")

    def order(self, due=None, **parameters):
        """Ask for a run, as "Quick run" in the page does; return its id."""
        details = {"scheduled_time": due.isoformat()} if due else {}
        state = {"type": "SCHEDULED", "state_details": details}
        body = {"parameters": parameters, "state": state}
        path = f"/deployments/{self.deployment()['id']}/create_flow_run"
        return self.ask("POST", path, body)["id"]

    def run(self, flow_run):
        return self.ask("GET", f"/flow_runs/{flow_run}")

    def wait_for(self, flow_run, *states):
        wait_until(lambda: self.run(flow_run)["state_name"] in states, 90)
        return self.run(flow_run)

    def steps(self, flow_run):
        body = {"flow_runs": {"id": {"any_": [flow_run]}}}
        return {run["name"]: run for run in self.ask("POST", "/task_runs/filter", body)}


@pytest.fixture(scope="module")
def services(tmp_path_factory, project):
    root = make_services_project(tmp_path_factory.mktemp("services"), project)
    services = Services(root, project)
    done = services.call("up")
    assert done.returncode == 0, done.stderr
    assert services.prefect in done.stdout
    assert services.mlflow in done.stdout
    yield services
    services.call("down")
    assert ours(root) == []


def test_both_pages_answer_on_this_machine_alone(services):
    assert httpx.get(f"{services.prefect}/api/health").json() is True
    assert "<title>MLflow" in httpx.get(services.mlflow).text
    settings = httpx.get(f"{services.prefect}/ui-settings").json()
    assert settings["api_url"] == f"{services.prefect}/api"  # else the page asks another port
    listening = {
        connection.laddr.ip
        for process in ours(services.root)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_up_twice_says_that_they_are_running(services):
    before = [services.pid(name) for name in NAMES]

    done = services.call("up")

    assert done.returncode == 0
    assert done.stdout.startswith("already running")
    assert [services.pid(name) for name in NAMES] == before


def test_the_schedule_is_that_of_params_yaml(services):
    retrain = yaml.safe_load((services.root / "params.yaml").read_text())["retrain"]

    schedule = services.deployment()["schedules"][0]

    assert schedule["active"]
    assert schedule["schedule"]["cron"] == retrain["cron"]
    assert schedule["schedule"]["timezone"] == retrain["timezone"]


def test_a_quick_run_works_and_a_second_one_meanwhile_says_that_it_is_cancelled(services):
    slow = {**CHAIN["ingest"], "cmd": f"sleep 8; {CHAIN['ingest']['cmd']}"}
    write_stages(services.root, {"ingest": slow})

    first = services.order()
    services.wait_for(first, "Running")
    second = services.order()

    cancelled = services.wait_for(second, "Cancelled")
    assert cancelled["state"]["message"] == "Deployment concurrency limit reached."
    assert services.wait_for(first, "Completed", "Failed")["state_name"] == "Completed"
    wait_until(lambda: services.steps(first)["ingest"]["state_name"] == "Completed")


def test_make_retrain_uses_the_running_server(services):
    write_stages(services.root, {"ingest": CHAIN["ingest"]})
    before = services.ask("POST", "/flow_runs/count", {})

    done = python(services.root, services.project, "-m", "flows.retrain", "--force")

    assert done.returncode == 0, done.stderr
    assert "temporary server" not in done.stderr
    assert services.ask("POST", "/flow_runs/count", {}) == before + 1


def test_cancelling_a_run_in_the_page_leaves_no_process_of_it(services):
    write_stages(services.root, {"ingest": {**CHAIN["ingest"], "cmd": LINGERING}})
    run = services.order()
    pid_file = services.root / "grandchild.pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60)

    services.ask(
        "POST",
        f"/flow_runs/{run}/set_state",
        {"state": {"type": "CANCELLING", "name": "Cancelling"}},
    )

    services.wait_for(run, "Cancelled")
    wait_until(lambda: not alive(pid_file))
    pid_file.unlink()


def test_up_brings_back_a_killed_runner_and_makes_up_one_of_the_missed_runs(services):
    write_stages(services.root, {"ingest": CHAIN["ingest"]})
    runner, server = services.pid("retrain"), services.pid("prefect")
    services.kill("retrain")
    now = datetime.now(UTC)
    missed = [services.order(due=now - timedelta(days=days)) for days in (3, 2, 1)]

    done = services.call("up")

    assert done.returncode == 0, done.stderr
    assert services.pid("retrain") != runner
    assert services.pid("prefect") == server
    last = services.wait_for(missed[2], "Completed", "Failed", "Cancelled")
    assert last["state_name"] == "Completed"
    assert [services.run(run)["state_name"] for run in missed[:2]] == ["Cancelled", "Cancelled"]


def test_up_after_everything_was_killed_in_mid_run_frees_the_place_of_that_run(services):
    write_stages(services.root, {"ingest": {**CHAIN["ingest"], "cmd": LINGERING}})
    pid_file = services.root / "grandchild.pid"
    killed = services.order(force=True)
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60)
    for name in NAMES:
        services.kill(name)
    write_stages(services.root, {"ingest": CHAIN["ingest"]})

    done = services.call("up")

    assert done.returncode == 0, done.stderr
    assert not alive(pid_file)
    assert services.run(killed)["state_name"] == "Crashed"
    after = services.wait_for(services.order(), "Completed", "Failed", "Cancelled")
    assert after["state_name"] == "Completed"


def test_down_leaves_no_process_and_keeps_the_history(services):
    done = services.call("down")
    again = services.call("down")

    assert done.stdout == "ended: retrain, MLflow, Prefect\n"
    assert again.stdout == "nothing was running\n"
    assert ours(services.root) == []
    with sqlite3.connect(services.root / ".services/prefect/prefect.db") as database:
        assert database.execute("select count(*) from flow_run").fetchone()[0] >= 6


def test_a_taken_port_is_named_and_nothing_is_started(tmp_path, project):
    root = make_services_project(tmp_path, project)
    port = yaml.safe_load((root / "params.yaml").read_text())["services"]["mlflow_port"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()

        done = python(root, project, "-m", "flows.services", "up")

    assert done.returncode == 2
    assert f"services.mlflow_port is {port}" in done.stderr
    assert ours(root) == []


def test_a_service_that_does_not_start_is_told_and_the_others_are_ended(tmp_path, project):
    root = make_services_project(tmp_path, project, cron="every night")

    done = python(root, project, "-m", "flows.services", "up")

    assert done.returncode == 1
    assert "retrain.cron is 'every night'" in done.stderr
    assert ours(root) == []


def test_a_process_that_got_a_recorded_id_later_is_not_taken_for_ours(tmp_path):
    began = psutil.Process().create_time()
    ours = Record("prefect", os.getpid(), began, "http://127.0.0.1:1", "log")
    theirs = Record("mlflow", os.getpid(), began - 60, "http://127.0.0.1:2", "log")
    for record in (ours, theirs):
        write_record(record, tmp_path)

    assert read_record("prefect", tmp_path) == ours
    assert read_record("mlflow", tmp_path) is None
    assert read_record("retrain", tmp_path) is None


def test_a_damaged_record_is_no_record(tmp_path):
    (tmp_path / "prefect.json").write_text('{"pid": 1')

    assert read_record("prefect", tmp_path) is None
