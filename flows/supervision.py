"""supervisord, which keeps the services running and their logs bounded, for this project.

It is asked over a socket below `.services/` that its owner alone may open. Its configuration names
no path of the machine and no command of ours (`flows.launch` knows those), so that nothing in them
needs its quoting.
"""

from __future__ import annotations

import configparser
import http.client
import io
import os
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flows import SERVICES
from genre.errors import InputError
from genre.files import write_text

LOGS = SERVICES / "logs"
CONFIGURATION = SERVICES / "supervisord.conf"
SOCKET = "supervisor.sock"
LONGEST_SOCKET = 90  # characters of 104 to 108; supervisord adds its process id for a moment
MARK, PROJECT = "MUSIC_GENRE_SERVICE", "MUSIC_GENRE_PROJECT"  # in the environment of what we start
SUPERVISOR, KEEPER = "supervisord", "keeper"
GRACE_SECONDS = 20  # between SIGTERM and SIGKILL: a retraining ends its step within 10
STARTING_SECONDS = 60  # one that ends sooner has not started: it is tried again, ever later
RETRIES = 5  # of one that does not start, 1, 2, 3 … s apart, before it is given up
OLD_LOGS = 2  # of each service are kept beside the present one
RUNS = ("STARTING", "RUNNING")
TRIES_AGAIN = (*RUNS, "BACKOFF", "EXITED")

# Its input ends when supervisord does, however that was ended.
KEEP = "sh -c 'cat >/dev/null && exec python -m flows.services up >.services/logs/keeper.out 2>&1'"


@dataclass(frozen=True)
class Process:
    """What supervisord says of one of its processes; `pid` is 0 where it does not run."""

    state: str
    pid: int


def configuration(root: Path, names: Iterable[str], log_bytes: int, *, kept: bool) -> str:
    """The configuration for services of these names, started in this order.

    With `kept`, a process of its own watches supervisord and brings it back.
    """
    parser = configparser.RawConfigParser()
    common = {"logfile_maxbytes": log_bytes, "logfile_backups": OLD_LOGS}
    parser["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "identifier": "music-genre",
        "pidfile": str(SERVICES / "supervisord.pid"),
        "childlogdir": str(LOGS),
        "logfile": str(LOGS / "supervisord.log"),
        **{key: str(value) for key, value in common.items()},
    }
    parser["unix_http_server"] = {"file": socket_path(root), "chmod": "0700"}
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    commands = {name: f"python -m flows.launch {name}" for name in names}
    if kept:
        commands[KEEPER] = KEEP
    for priority, (name, command) in enumerate(
        commands.items()
    ):  # ended from the last to the first
        parser[f"program:{name}"] = {
            "command": command,
            "environment": f'{MARK}="{name}"',
            "priority": str(priority),
            "autorestart": "true",
            "startsecs": "1" if name == KEEPER else str(STARTING_SECONDS),
            "startretries": str(RETRIES),
            "stopwaitsecs": str(GRACE_SECONDS),
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(LOGS / f"{name}.log"),
            **{f"stdout_{key}": str(value) for key, value in common.items()},
        }
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def write_configuration(root: Path, names: Iterable[str], log_bytes: int, *, kept: bool) -> None:
    """Write `configuration` where supervisord reads it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    write_text(CONFIGURATION, configuration(root, names, log_bytes, kept=kept))


def socket_path(root: Path) -> str:
    """Where supervisord makes its socket; a long way is shortened through its working folder.

    Raises `InputError` where that cannot be done.
    """
    path = str(root.resolve() / SERVICES / SOCKET)
    if len(os.fsencode(path)) <= LONGEST_SOCKET and not set(path) & set("%;#"):
        return path
    if not Path("/proc/self/cwd").exists():
        raise InputError(
            f"{root.resolve()}: the path is too long, or has a %, ; or #, which a socket in it "
            "cannot have on this system; move the project"
        )
    return f"/proc/self/cwd/{SERVICES / SOCKET}"


def ask(folder: Path = SERVICES) -> Any:
    """Supervisord's interface, `supervisor` and `system` being its parts."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{folder / SOCKET}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)


def installed() -> bool:
    """Whether supervisord is: it comes with the extra `services`."""
    return find_spec("supervisor") is not None


def states(folder: Path = SERVICES) -> dict[str, Process] | None:
    """The state of each process, or None if no supervisord responds or it is not installed."""
    if not installed():
        return None
    try:
        found = ask(folder).supervisor.getAllProcessInfo()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return None
    return {one["name"]: Process(one["statename"], one["pid"]) for one in found}


def log(name: str) -> Path:
    """Where the output of a service goes."""
    return LOGS / f"{name}.log"
