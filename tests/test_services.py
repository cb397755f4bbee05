"""`make up`, `make status` and `make down` for real, on ports of the tests' own."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import stat
import subprocess

import httpx
import pytest
import yaml
from flows_harness import alive, wait_until, write_stages
from services_harness import (
    INGEST,
    LINGERING,
    NAMES,
    Services,
    client,
    listening,
    make_services_project,
    ours,
    popen,
    python,
)

from flows.boot import unit_text
from flows.records import Service, read_plan, read_record, write_plan
from flows.supervision import KEEPER, SUPERVISOR

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def services(tmp_path_factory, project):
    root = make_services_project(tmp_path_factory.mktemp("services"), project)
    services = Services(root, project)
    with popen(root, project, "-m", "flows.services", "up") as starting:
        wait_until(lambda: services.record("prefect"))
        early = python(root, project, "-m", "flows.retrain")
        out, err = starting.communicate(timeout=150)
    assert starting.returncode == 0, err
    assert services.prefect in out
    assert services.mlflow in out
    services.early = early
    yield services
    services.call("down")
    assert ours(root) == []


def test_both_pages_answer_on_this_machine_alone(services):
    assert httpx.get(f"{services.prefect}/api/health").json() is True
    assert "<title>MLflow" in httpx.get(services.mlflow).text
    socket_file = services.root / ".services/supervisor.sock"
    assert stat.S_IMODE(socket_file.stat().st_mode) == 0o700
    settings = httpx.get(f"{services.prefect}/ui-settings").json()
    assert settings["api_url"] == f"{services.prefect}/api"  # else the page asks another port
    assert listening(ours(services.root)) == {"127.0.0.1"}


def test_up_twice_says_that_they_are_running(services):
    before = [services.pid(name) for name in NAMES]

    done = services.call("up")

    assert done.returncode == 0
    assert done.stdout.startswith("already running")
    assert [services.pid(name) for name in NAMES] == before


def test_a_retraining_while_they_start_waits_for_the_server(services):
    runs = services.ask("POST", "/flow_runs/filter", {"sort": "START_TIME_ASC"})

    assert services.early.returncode == 0, services.early.stderr
    assert "temporary server" not in services.early.stderr
    assert runs[0]["state_name"] == "Completed"
    assert runs[0]["deployment_id"] is None


def test_status_says_what_runs_where_and_how_much_memory_it_holds(services):
    done = services.call("status")

    assert done.returncode == 0, done.stderr
    head, *lines, total = done.stdout.splitlines()
    assert head.split()[:3] == ["service", "state", "pid"]
    table = {line.split()[0]: line for line in lines}
    assert table.keys() == {SUPERVISOR, KEEPER, *NAMES}
    for name in NAMES:
        assert re.search(rf"ready +{services.pid(name)} +\d+:\d\d:\d\d +\d+ ", table[name])
        assert table[name].endswith(f".services/logs/{name}.log")
    assert services.mlflow in table["mlflow"]
    assert total.startswith("all ")


def test_up_says_that_what_runs_is_not_what_params_yaml_says_now(services):
    text = (services.root / "params.yaml").read_text()
    other = text.replace(f"mlflow_port: {services.ports['mlflow_port']}", "mlflow_port: 1024")
    (services.root / "params.yaml").write_text(other)

    done = services.call("up")

    (services.root / "params.yaml").write_text(text)
    assert "params.yaml has other services now" in done.stdout
    assert services.mlflow in done.stdout
    assert "other services" not in services.call("up").stdout


def test_the_server_puts_the_coming_nights_into_its_list_of_runs(services):
    body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    wait_until(lambda: services.ask("POST", "/flow_runs/count", body) >= 3, 90)


def test_the_schedule_is_that_of_params_yaml(services):
    retrain = yaml.safe_load((services.root / "params.yaml").read_text())["retrain"]

    schedule = services.deployment()["schedules"][0]

    assert schedule["active"]
    assert schedule["schedule"]["cron"] == retrain["cron"]
    assert schedule["schedule"]["timezone"] == retrain["timezone"]


def test_a_quick_run_works_and_a_second_one_meanwhile_says_that_it_is_cancelled(services):
    slow = {**INGEST, "cmd": f"sleep 8; {INGEST['cmd']}"}
    write_stages(services.root, {"ingest": slow})

    first = services.order()
    services.wait_for(first, "Running")
    second = services.order()

    cancelled = services.wait_for(second, "Cancelled")
    assert cancelled["state"]["message"].startswith("another retraining works here (process ")
    assert services.wait_for(first, "Completed", "Failed")["state_name"] == "Completed"
    wait_until(lambda: services.steps(first)["ingest"]["state_name"] == "Completed")


def test_make_retrain_uses_the_running_server(services):
    write_stages(services.root, {"ingest": INGEST})
    before = services.ask("POST", "/flow_runs/count", {})

    done = python(services.root, services.project, "-m", "flows.retrain", "--force")

    assert done.returncode == 0, done.stderr
    assert "temporary server" not in done.stderr
    assert services.ask("POST", "/flow_runs/count", {}) == before + 1


def test_a_deployment_that_was_deleted_comes_back_with_up_while_a_run_goes_on(services):
    slow = {**INGEST, "cmd": f"sleep 15; {INGEST['cmd']}"}
    write_stages(services.root, {"ingest": slow})
    working = services.order()
    services.wait_for(working, "Running")
    before = [services.pid(name) for name in NAMES]
    with client(f"{services.prefect}/api") as api:
        api.delete(f"/deployments/{services.deployment()['id']}").raise_for_status()
    missing = services.call("status")

    done = services.up()

    assert missing.returncode == 1
    assert "retrain is missing in Prefect and does not run; `make up` creates" in missing.stdout
    assert "retrain was missing in Prefect and is created again" in done.stdout
    assert [services.pid(name) for name in NAMES] == before
    assert services.deployment()["schedules"][0]["active"]
    assert services.wait_until_ended(working) == "Completed"
    write_stages(services.root, {"ingest": INGEST})
    assert services.wait_until_ended(services.order()) == "Completed"
    assert services.call("status").returncode == 0


def test_a_schedule_that_was_edited_and_paused_stays_paused_after_down_and_up(services):
    deployment = services.deployment()
    path = f"/deployments/{deployment['id']}/schedules/{deployment['schedules'][0]['id']}"
    edit = {"active": False, "schedule": {"cron": "0 5 * * *", "timezone": "UTC"}}
    with client(f"{services.prefect}/api") as api:
        api.patch(path, json=edit).raise_for_status()
    services.call("down")

    done = services.up()

    (schedule,) = services.deployment()["schedules"]
    assert not schedule["active"]
    assert "retrain: the schedule '0 5 * * *' (UTC) is replaced by retrain.cron" in done.stdout
    assert "retrain is paused in Prefect; to resume it: PREFECT_API_URL=" in done.stdout
    assert "retrain is paused in Prefect; to resume it: " in services.call("status").stdout


def test_a_bad_cron_is_refused_by_up_and_what_runs_goes_on(services):
    before = [services.pid(name) for name in NAMES]
    text = (services.root / "params.yaml").read_text()
    cron = yaml.safe_load(text)["retrain"]["cron"]
    (services.root / "params.yaml").write_text(text.replace(f"cron: {cron}", "cron: nightly"))

    done = services.call("up")

    (services.root / "params.yaml").write_text(text)
    assert done.returncode == 2
    assert "retrain.cron is 'nightly'" in done.stderr
    assert services.up().stdout.startswith("already running")
    assert [services.pid(name) for name in NAMES] == before


def test_killed_mlflow_pages_come_back_alone_on_their_port(services):
    group = {process.pid for process in ours(services.root, "mlflow")}

    killed = services.kill("mlflow")

    services.wait_until_ready(but=[killed])
    assert not group & {process.pid for process in ours(services.root, "mlflow")}
    assert "<title>MLflow" in httpx.get(services.mlflow).text


def test_cancelling_a_run_in_the_page_leaves_no_process_of_it(services):
    write_stages(services.root, {"ingest": {**INGEST, "cmd": LINGERING}})
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


def test_down_leaves_no_process_and_keeps_the_history(services):
    done = services.call("down")
    again = services.call("down")

    assert done.stdout == "ended: retrain, MLflow, Prefect\n"
    assert again.stdout == "nothing was running\n"
    assert ours(services.root) == []
    assert services.call("status").stdout.startswith("nothing is running")
    with sqlite3.connect(services.root / ".services/prefect/prefect.db") as database:
        assert database.execute("select count(*) from flow_run").fetchone()[0] >= 4


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


def test_without_supervisord_nothing_is_taken_for_running(tmp_path):
    write_plan([Service("prefect", ["sleep"], {}, "http://127.0.0.1:1")], tmp_path)
    (tmp_path / "supervisor.sock").touch()

    assert read_record("prefect", tmp_path) is None


def test_a_damaged_plan_is_no_plan(tmp_path):
    (tmp_path / "services.json").write_text('[{"name": 1')

    assert read_plan(tmp_path) == []


def test_the_unit_for_boot_runs_this_project_and_is_not_installed(tmp_path, project):
    root = make_services_project(tmp_path / "100 % mine", project)

    done = python(root, project, "-m", "flows.services", "unit")

    assert done.returncode == 0, done.stderr
    assert "systemctl --user enable --now '" in done.stdout
    assert "loginctl enable-linger" in done.stdout
    text = (root / ".services/music-genre.service").read_text()
    assert text == unit_text(root)
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert lines["WorkingDirectory"] == f"{tmp_path}/100 %% mine"
    assert lines["ExecStart"].endswith('" -m flows.services run')
    assert lines["Restart"] == "on-failure"
    if shutil.which("systemd-analyze"):
        unit = str(root / ".services/music-genre.service")
        command = ["systemd-analyze", "verify", unit]
        found = subprocess.run(command, check=False, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        assert "music-genre" not in found.stderr
    assert ours(root) == []
