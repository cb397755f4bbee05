"""Query the services of `make up`: their states, and the address of the Prefect server.

supervisord is queried by a socket in `.services/` that only its owner may open. Ports are read from
its environment: the services keep them until `make down`, even if `params.yaml` changes.
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
READY_SECONDS = 180.0  # ample for a slow machine
POLL_SECONDS = 0.2
GIVEN_UP = ("FATAL", "STOPPED")  # final states
TIMEOUT_SECONDS = 5.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Service:
    """The state of a service; `began` is Unix time.

    `pid` is 0 if it does not run; `address` is empty if it has no page.
    """

    state: str
    pid: int
    began: float
    address: str


def addresses(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the address of each service in start order; the runner has none."""
    found = {SERVER: f"http://{HOST}:{settings['MUSIC_GENRE_PREFECT_PORT']}"}
    if settings["MUSIC_GENRE_MLFLOW_PAGES"] == "true":
        found[MLFLOW] = f"http://{HOST}:{settings['MUSIC_GENRE_MLFLOW_PORT']}"
    return {**found, RUNNER: ""}


def supervisor() -> Any:
    """Return supervisord's XML-RPC interface."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{SOCKET}")
    return xmlrpc.client.ServerProxy(f"http://{HOST}", transport=transport).supervisor


def services() -> dict[str, Service] | None:
    """Return the services of supervisord in start order.

    None if no supervisord responds, or it is not installed.
    """
    try:
        control = supervisor()
        found = {one["name"]: one for one in control.getAllProcessInfo()}
        settings = psutil.Process(control.getPID()).environ()
    except (ImportError, OSError, http.client.HTTPException, xmlrpc.client.Error, psutil.Error):
        return None
    return {
        name: Service(found[name]["statename"], found[name]["pid"], found[name]["start"], address)
        for name, address in addresses(settings).items()
    }


def running_server() -> str | None:
    """Return the address of the Prefect server of `make up`, or None if there is none.

    Waits up to `READY_SECONDS` for one that is starting.
    """
    deadline = time.monotonic() + READY_SECONDS
    while server := (services() or {}).get(SERVER):
        if responds(f"{server.address}/api/health") or time.monotonic() >= deadline:
            return server.address
        if server.state in GIVEN_UP:
            break
        time.sleep(POLL_SECONDS)
    return None


def read(address: str) -> bytes | None:
    """Return the body of a successful response, or None."""
    try:
        with _direct.open(address, timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read()
            return content
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None


def responds(address: str) -> bool:
    """Whether a request succeeds."""
    return read(address) is not None


def read_json(address: str) -> Any:
    """Return the JSON of a successful response, or None."""
    content = read(address)
    return None if content is None else json.loads(content)
