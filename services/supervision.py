"""Start and end supervisord, which keeps the services of `make up` running (`supervisord.conf`).

Every process of a service inherits an environment variable with the project's path. By it the
processes of a killed supervisord or service are found, even in a session of their own, as flow runs
are.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from flows import SERVICES, SETTINGS
from flows.server import HOST, POLL_SECONDS, RUNNER, services
from genre.core.errors import GenreError, InputError
from runner.processes import end_processes, is_alive

SUPERVISOR = ""  # instead of a service's name
LOGS = SERVICES / "logs"
ERRORS = LOGS / "supervisord.err"  # output of supervisord before it opens its log
CONFIGURATION = Path(__file__).with_name("supervisord.conf")
COMMAND = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)]
PROJECT = "MUSIC_GENRE_PROJECT"  # environment variable of all processes of the services
GRACE_SECONDS = 20  # between SIGTERM and SIGKILL, as in supervisord.conf
LOG_LINES = 15  # of the log of a service that does not start


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of supervisord and all services, this Python first on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    own = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    return {**own, **SETTINGS, **settings, "PATH": path, "PYTHONUNBUFFERED": "1"}


def start(root: Path, settings: Mapping[str, str]) -> None:
    """Start supervisord, detached from the terminal. Raises `GenreError` if it ends at once."""
    with ERRORS.open("wb") as errors:
        process = subprocess.Popen(
            COMMAND,
            cwd=root,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while services() is None:
        if process.poll() is not None:
            raise GenreError(f"supervisord did not start: {ERRORS.read_text()}")
        time.sleep(POLL_SECONDS)


def check_port(name: str, address: str) -> None:
    """Raise `InputError` if something else listens on the port of a service."""
    port = urlsplit(address).port
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"params.yaml: services.{name}_port is {port}, which cannot be "
                f"used ({error.strerror}); end the program that uses it, or choose another port"
            ) from error


def tail(name: str) -> str:
    """Return the last lines of a log."""
    path = LOGS / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    return "\n".join([f"the end of {path}:", *text.splitlines()[-LOG_LINES:]])


def processes(root: Path, name: str | None = None) -> list[psutil.Process]:
    """Return the living processes of the services at `root`, or of the service `name`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            variables = process.environ()
            service = variables.get("SUPERVISOR_PROCESS_NAME", SUPERVISOR)
            ours = variables.get(PROJECT) == str(root.resolve()) and name in (None, service)
            if ours and process.pid != os.getpid() and is_alive(process):
                found.append(process)
    return found


def end(root: Path, *names: str | None) -> None:
    """End the processes of the services `names`, one service after the other.

    By default supervisord, which ends its services itself, then remaining processes, the runner
    first, so that it can still report to the server.
    """
    for name in names or (SUPERVISOR, RUNNER, None):
        grace = GRACE_SECONDS * (4 if name == SUPERVISOR else 1)
        end_processes(partial(processes, root, name), grace)
