"""Start supervisord for the services, know when they are ready, end all that they started.

What carries our mark in its environment is ours, so that what a killed supervisord or a killed
server left is found, too: also a retraining, whose steps lead process groups of their own.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from flows import SETTINGS, deployments
from flows.records import POLL_SECONDS, READY_SECONDS, RUNNER, SERVER, Service, read_record
from flows.supervision import (
    CONFIGURATION,
    GRACE_SECONDS,
    KEEPER,
    LOGS,
    MARK,
    PROJECT,
    RUNS,
    SUPERVISOR,
    TRIES_AGAIN,
    ask,
    states,
)
from flows.web import answers
from genre.errors import GenreError, InputError
from tasks import dvc_command, processes

HOST = "127.0.0.1"
ERRORS = LOGS / "supervisord.err"  # what it says before it has a log
LOG_LINES = 15  # shown of the log of a service that did not start
COMMAND = [sys.executable, "-P", "-m", "supervisor.supervisord", "-n", "-c", str(CONFIGURATION)]
# After which a program that was just beginning is asked again: its environment could be read
# after 8 ms at the latest on an idle machine, after 24 ms on a busy one (300 starts each).
BEGINNING_SECONDS = 0.05


def environment(root: Path) -> dict[str, str]:
    """The environment of supervisord and all services, whatever the person's own says."""
    own = {
        key: value for key, value in dvc_command.environment().items() if key != "PREFECT_API_URL"
    }
    return {**own, **SETTINGS, MARK: SUPERVISOR, PROJECT: str(root.resolve())}


def start(root: Path) -> subprocess.Popen[bytes]:
    """Start supervisord, detached from the terminal."""
    with ERRORS.open("wb") as errors:
        return subprocess.Popen(
            COMMAND,
            cwd=root,
            env=environment(root),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def is_supervised(root: Path, started: subprocess.Popen[bytes] | None = None) -> bool:
    """Whether supervisord answers; waits for one that is starting or ending.

    `started` is the one that was started just now: while it begins, its mark cannot be read yet.
    """
    wait = GRACE_SECONDS if started is None else READY_SECONDS
    deadline = time.monotonic() + wait
    while states() is None:
        lives = marked(root, SUPERVISOR) if started is None else started.poll() is None
        if not lives or time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def start_missing(services: list[Service]) -> list[str]:
    """Let supervisord start what has ended or was given up; return the names.

    Raises `InputError` where a port is taken.
    """
    now = states() or {}
    ended = {name for name, process in now.items() if process.state not in TRIES_AGAIN}
    missing = [service for service in services if service.name in ended]
    for service in missing:
        check_port(service)
        ask().supervisor.startProcess(service.name, False)
    return [service.name for service in missing]


def wait_until_ready(service: Service, services: Mapping[str, Service], *, fresh: bool) -> None:
    """Wait until a service answers.

    Raises `GenreError` where it takes too long or is given up; one that was started just now
    (`fresh`) when it ends for the first time.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        now = states()
        if now is None:
            raise GenreError(f"supervisord does not answer\n{tail(SUPERVISOR)}")
        state = now[service.name].state
        if state not in TRIES_AGAIN or (fresh and state not in RUNS):
            raise GenreError(f"{service.name} ended while it started\n{tail(service.name)}")
        if is_ready(service, services):
            return
        time.sleep(POLL_SECONDS)
    raise GenreError(
        f"{service.name} did not answer within {READY_SECONDS:.0f} s\n{tail(service.name)}"
    )


def is_ready(service: Service, services: Mapping[str, Service]) -> bool:
    """Whether a service answers; the runner: whether it has asked the server for work."""
    if service.name == SERVER:
        return answers(f"{service.address}/api/health")
    if service.name != RUNNER:
        return answers(f"{service.address}/health")
    record = read_record(RUNNER)
    deployment = deployments.read(services[SERVER].address, "retrain") or {}
    polled = deployment.get("last_polled")
    if record is None or polled is None:
        return False
    return datetime.fromisoformat(polled).timestamp() >= record.began


def end(root: Path) -> set[str]:
    """End supervisord, every service and what they started; return the names of what ran."""
    found = {name for _, name in _marks(root)}
    if states() is not None:
        with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            ask().supervisor.shutdown()
        deadline = time.monotonic() + 4 * GRACE_SECONDS
        while marked(root, SUPERVISOR) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    # Before the services, what would start them again.
    for name in (SUPERVISOR, KEEPER, RUNNER, None):
        end_marked(root, name)
    return found


def end_marked(root: Path, name: str | None = None) -> None:
    """End what a killed service left (without `name`: any of them), but not this process."""
    processes.end_processes(lambda: marked(root, name), GRACE_SECONDS)


def marked(root: Path, name: str | None = None) -> list[psutil.Process]:
    """The living processes that a service of this project (without `name`: any) is or started."""
    return [process for process, of in _marks(root) if name in (None, of)]


def _marks(root: Path) -> list[tuple[psutil.Process, str]]:
    """The living processes with our mark, but not this one, and the service that each is of."""
    found = []
    project = str(root.resolve())
    for process, variables in _environments():
        if variables.get(PROJECT) == project and MARK in variables:
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and processes.is_alive(process):
                    found.append((process, variables[MARK]))
    return found


def _environments() -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """Every process that can be asked, and its environment.

    Of one that is just beginning a program nothing can be read: it is asked again, once.
    """
    beginning = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if variables := process.environ():
                yield process, variables
            else:
                beginning.append(process)
    if beginning:
        time.sleep(BEGINNING_SECONDS)
    for process in beginning:
        with contextlib.suppress(psutil.Error):
            yield process, process.environ()


def check_port(service: Service) -> None:
    """Raise `InputError` where something else listens on the port of a service."""
    port = urlsplit(service.address).port
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"params.yaml: services.{service.name}_port is {port}, which cannot be "
                f"used ({error.strerror}); end what listens there, or choose another port"
            ) from error


def tail(name: str) -> str:
    """The last lines of a service's log."""
    path = LOGS / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join([f"the end of {path}:", *text.splitlines()[-LOG_LINES:]])
