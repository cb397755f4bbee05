"""The services of `make up`, asked whether they run, and the Prefect server among them.

supervisord is asked over a socket in `.services/` that its owner alone may open. What it was
started with is in its environment, so the services keep their ports until `make down`, whatever
`params.yaml` says by then.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from flows import SERVICES

HOST = "127.0.0.1"
SERVER, MLFLOW, RUNNER = "prefect", "mlflow", "retrain"
SOCKET = SERVICES / "supervisor.sock"
READY_SECONDS = 180.0  # far more than a slow machine needs
POLL_SECONDS = 0.2
GIVEN_UP = ("FATAL", "STOPPED")  # states that supervisord does not leave by itself
TIMEOUT_SECONDS = 5.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Service:
    """A service as supervisord knows it; `began` is in seconds since the epoch.

    `pid` is 0 if it does not run, and `address` is empty if it has no page.
    """

    state: str
    pid: int
    began: float
    address: str


def addresses(settings: Mapping[str, str]) -> dict[str, str]:
    """The address of each service, in the order in which they start; the runner has none."""
    found = {SERVER: f"http://{HOST}:{settings['MUSIC_GENRE_PREFECT_PORT']}"}
    if settings["MUSIC_GENRE_MLFLOW_PAGES"] == "true":
        found[MLFLOW] = f"http://{HOST}:{settings['MUSIC_GENRE_MLFLOW_PORT']}"
    return {**found, RUNNER: ""}


def ask() -> Any:
    """Supervisord's XML-RPC interface."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{SOCKET}")
    return xmlrpc.client.ServerProxy(f"http://{HOST}", transport=transport).supervisor


def services() -> dict[str, Service] | None:
    """The services that supervisord keeps, in the order in which they start.

    None if no supervisord responds, or it is not installed.
    """
    try:
        supervisor = ask()
        said = {one["name"]: one for one in supervisor.getAllProcessInfo()}
        settings = psutil.Process(supervisor.getPID()).environ()
    except (ImportError, OSError, http.client.HTTPException, xmlrpc.client.Error, psutil.Error):
        return None
    return {
        name: Service(said[name]["statename"], said[name]["pid"], said[name]["start"], address)
        for name, address in addresses(settings).items()
    }


def running_server() -> str | None:
    """The address of the Prefect server of `make up`, or None if there is none.

    Waits for one that is starting or being restarted, at most `READY_SECONDS`.
    """
    deadline = time.monotonic() + READY_SECONDS
    while server := (services() or {}).get(SERVER):
        if answers(f"{server.address}/api/health") or time.monotonic() >= deadline:
            return server.address
        if server.state in GIVEN_UP:
            break
        time.sleep(POLL_SECONDS)
    return None


def read(address: str) -> bytes | None:
    """What a page holds, or None where nothing answers or it is no success."""
    try:
        with _direct.open(address, timeout=TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None


def answers(address: str) -> bool:
    """Whether a page answers with success."""
    return read(address) is not None


def read_json(address: str) -> Any:
    """The JSON that a page holds, or None."""
    content = read(address)
    return None if content is None else json.loads(content)
