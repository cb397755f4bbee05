"""A project of one step with running services on free ports."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pandas as pd
import psutil
import pytest
import yaml
from flows_harness import make_project, wait_until, write_stages
from params_file import change_params
from prefect.client.base import PrefectHttpxSyncClient

from flows import server
from genre.collection.catalogue_diff import COLUMNS
from services.supervision import processes as ours

# The songs are text, which a real step would refuse.
INGEST = {
    "cmd": "echo 'reading'; cp songs.parquet data/catalogue.parquet; echo '2 songs in 1 genre'",
    "deps": ["data/raw"],
    "outs": ["data/catalogue.parquet"],
}
LINGERING = "(trap '' TERM; sleep 300 & echo $! > grandchild.pid; wait) & wait"


def client(address):
    """A client of a server's REST API that asks again if the server is busy."""
    return PrefectHttpxSyncClient(base_url=address, timeout=30, raise_on_all_errors=False)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_services_project(root, project, **retrain):
    root.mkdir(parents=True, exist_ok=True)
    make_project(root, {"ingest": INGEST})
    songs = [(name, f"blues/{name}.txt", "blues", "ok", None) for name in ("one", "two")]
    pd.DataFrame(songs, columns=COLUMNS).to_parquet(root / "songs.parquet", index=False)
    changes = {f"retrain.{key}": value for key, value in ({"steps": {}} | retrain).items()}
    changes |= {"services.prefect_port": free_port(), "services.mlflow_port": free_port()}
    change_params(root, changes, start=project)
    return root


def popen(root, project, *arguments):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def python(root, project, *arguments):
    with popen(root, project, *arguments) as process:
        out, err = process.communicate(timeout=150)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def family(processes):
    """The processes and their living descendants."""
    found = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return found


def listening(processes):
    """The addresses that the processes listen on."""
    found = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            connections = process.net_connections("inet")
            found |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    return found


@contextlib.contextmanager
def working_in(root, project):
    """Yield the services of a project, which is the current folder until they are ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        services = Services(root, project)
        try:
            yield services
        finally:
            services.call("down")
        assert ours(root) == []


class Services:
    """The services of the project in the current folder, and its server's REST API."""

    def __init__(self, root, project):
        self.root, self.project = root, project
        self.ports = yaml.safe_load((root / "params.yaml").read_text())["services"]
        self.prefect = f"http://127.0.0.1:{self.ports['prefect_port']}"
        self.mlflow = f"http://127.0.0.1:{self.ports['mlflow_port']}"

    def call(self, what):
        return python(self.root, self.project, "-m", "services.control", what)

    def up(self):
        done = self.call("up")
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def pids(self):
        """The process of each service, 0 for one that does not run."""
        return {name: one.pid for name, one in (server.services() or {}).items()}

    def kill(self, name):
        """End the process of a service alone, at once; return its id."""
        pid = self.pids()[name]
        psutil.Process(pid).kill()
        return pid

    def wait_until_ready(self, *, but=()):
        """Wait until every service responds, with other process ids than those of `but`."""

        def is_back():
            pids = self.pids().values()
            return pids and not {0, *but} & set(pids) and self.call("status").returncode == 0

        wait_until(is_back, server.READY_SECONDS)

    def ask(self, method, path, body=None):
        with client(f"{self.prefect}/api") as api:
            return api.request(method, path, json=body).raise_for_status().json()

    def deployment(self):
        return self.ask("GET", "/deployments/name/retrain/retrain")

    def order(self, due=None, **parameters):
        """Request a run, as "Quick run" in the UI does; return its id."""
        details = {"scheduled_time": due.isoformat()} if due else {}
        state = {"type": "SCHEDULED", "state_details": details}
        body = {"parameters": parameters, "state": state}
        path = f"/deployments/{self.deployment()['id']}/create_flow_run"
        return self.ask("POST", path, body)["id"]

    def long_run(self, command):
        """Request a run and wait until its step runs; return its id and its pid file."""
        write_stages(self.root, {"ingest": {**INGEST, "cmd": command}})
        pid_file = self.root / "grandchild.pid"
        pid_file.unlink(missing_ok=True)
        run = self.order(force=True)
        wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60)
        write_stages(self.root, {"ingest": INGEST})
        return run, pid_file

    def run(self, flow_run):
        return self.ask("GET", f"/flow_runs/{flow_run}")

    def wait_for(self, flow_run, *states):
        wait_until(lambda: self.run(flow_run)["state_name"] in states, 90)
        return self.run(flow_run)

    def wait_until_ended(self, flow_run):
        """Return the name of its last state; of a failure, why."""
        run = self.wait_for(flow_run, "Completed", "Failed", "Cancelled", "Crashed")
        why = f": {run['state']['message']}" if run["state_name"] == "Failed" else ""
        return run["state_name"] + why

    def steps(self, flow_run):
        body = {"flow_runs": {"id": {"any_": [flow_run]}}}
        return {run["name"]: run for run in self.ask("POST", "/task_runs/filter", body)}
