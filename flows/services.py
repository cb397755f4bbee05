"""Prefect's server, MLflow's pages and the served flows, kept running by supervisord.

    python -m flows.services up|down|status|run|unit

All listen on 127.0.0.1 or talk to it. Their state lies below `.services/`, so that schedules and
the history of runs survive. `run` stays in the foreground, for what starts it at boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flows import SERVICES, daemons, deployments, supervision
from flows.boot import unit
from flows.daemons import HOST
from flows.records import (
    MLFLOW,
    POLL_SECONDS,
    READY_SECONDS,
    RUNNER,
    SERVER,
    Service,
    read_plan,
    write_plan,
)
from flows.status import status
from genre.errors import GenreError, InputError
from genre.hints import command
from genre.params import Params, load_params
from genre.registry import resolve_uri
from genre.unforeseen import one_line
from tasks.cli import BAD_INPUT, FAILED, OK

TITLES = {RUNNER: "retrain", MLFLOW: "MLflow", SERVER: "Prefect"}
SQLITE = "sqlite:///"
Say = Callable[[str], None]


def describe(params: Params, root: Path) -> list[Service]:
    """The services of the project at `root`, in the order in which they start."""
    server = f"http://{HOST}:{params.services.prefect_port}"
    services = [
        Service(
            SERVER,
            listening("prefect", "server", "start", port=params.services.prefect_port),
            {
                "PREFECT_SERVER_UI_API_URL": f"{server}/api",
                "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            },
            server,
        ),
        Service(
            RUNNER,
            [sys.executable, "-m", "flows.serve"],
            {"PREFECT_API_URL": f"{server}/api", "PREFECT_RUNNER_POLL_FREQUENCY": "5"},
        ),
    ]
    store = resolve_uri(params.tracking.uri, root)
    if store.startswith(SQLITE):  # a server's pages are that server's
        services.insert(1, mlflow_pages(store, params.services.mlflow_port))
    return services


def mlflow_pages(store: str, port: int) -> Service:
    """MLflow's pages on the SQLite `store`, with the artifacts that lie beside it."""
    artifacts = Path(store.removeprefix(SQLITE)).parent / "artifacts"
    where = ["--backend-store-uri", store, "--artifacts-destination", str(artifacts)]
    return Service(
        MLFLOW,
        [*listening("mlflow", "server", port=port), "--workers", "1", *where],
        # Its job runners are eight processes for what this project does not use.
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        f"http://{HOST}:{port}",
    )


def listening(*command: str, port: int) -> list[str]:
    """The command of a Python module that listens on this machine alone."""
    return [sys.executable, "-P", "-m", *command, "--host", HOST, "--port", str(port)]


def up(root: Path, say: Say) -> None:
    """Start what is not running yet, wait until all respond, apply the schedules, and say where.

    Raises `InputError` if a port is taken or a schedule is wrong, and `GenreError` if a service
    does not start; if everything was started here, it is then ended again.
    """
    params = load_params()
    wanted = describe(params, root)
    with only_one(say):
        supervised = daemons.is_supervised(root)
        try:
            deployments.ASKED.touch()
            if supervised:
                services = read_plan()
                started = daemons.start_missing(services)
            else:
                prepare(root, params, wanted, kept=True)
                services = wanted
                started = [service.name for service in services]
                wait_for_supervisor(root, daemons.start(root))
            by_name = {service.name: service for service in services}
            for service in services:
                daemons.wait_until_ready(service, by_name, fresh=service.name in started)
            served = deployments.wait_until_applied()
        except BaseException:
            if not supervised:
                daemons.end(root)
            raise
    say("started" if started else "already running")
    for service in services:
        if service.address:
            say(f"  {TITLES[service.name]:<8} {service.address}")
    if MLFLOW not in by_name:
        say(f"  {TITLES[MLFLOW]:<8} {params.tracking.uri}")
    say(f"  {RUNNER:<8} at {params.retrain.cron!r} ({params.retrain.timezone}), or from Prefect")
    for line in served.messages + deployments.warnings(by_name[SERVER].address, served.crons):
        say(line)
    if services != wanted:
        say("params.yaml has other services now; `make down`, then `make up` to have them")
    say(f"logs are in {supervision.LOGS}; `make down` ends all")


def prepare(root: Path, params: Params, services: list[Service], *, kept: bool) -> None:
    """End what a killed supervisord left, and write down what is to run."""
    daemons.end(root)
    for service in services:
        daemons.check_port(service)
    names = [service.name for service in services]
    supervision.write_configuration(root, names, params.services.log_bytes, kept=kept)
    write_plan(services)


def wait_for_supervisor(root: Path, started: subprocess.Popen[bytes]) -> None:
    """Wait until supervisord answers. Raises `GenreError` where it ends."""
    if not daemons.is_supervised(root, started):
        raise GenreError(f"supervisord did not start: {daemons.ERRORS.read_text()}")


def run(root: Path, say: Say) -> None:
    """Become supervisord in the foreground; whoever started it brings it back when it is killed.

    Raises `InputError` where the services already run.
    """
    params = load_params()
    with only_one(say):
        if daemons.is_supervised(root):
            raise InputError("the services already run; `make down` ends them")
        prepare(root, params, describe(params, root), kept=False)
        os.execve(daemons.COMMAND[0], daemons.COMMAND, daemons.environment(root))


def down(root: Path, say: Say) -> None:
    """End every service and what it started, the flow's runner first, and say what was done."""
    with only_one(say):
        ended = daemons.end(root)
    titles = [title for name, title in TITLES.items() if name in ended]
    say(f"ended: {', '.join(titles)}" if titles else "nothing was running")


@contextlib.contextmanager
def only_one(say: Say) -> Iterator[None]:
    """Wait while another `make up` or `make down` works. Raises `GenreError` where it goes on."""
    SERVICES.mkdir(exist_ok=True)
    deadline = time.monotonic() + READY_SECONDS
    waiting = False
    with (SERVICES / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise GenreError("another make up or make down is at work") from error
            if not waiting:
                say("waiting for another make up or make down")
                waiting = True
            time.sleep(POLL_SECONDS)
        yield


@one_line
def main(arguments: list[str]) -> int:
    """Do one of `ACTIONS` in the project's folder."""
    if len(arguments) != 1 or arguments[0] not in ACTIONS:
        expected = f"python -m flows.services {'|'.join(ACTIONS)}"
        print(f"error: expected one of: {expected}", file=sys.stderr)
        return BAD_INPUT
    if not supervision.installed():
        install = "python -m pip install --constraint requirements.lock --editable '.[services]'"
        raise InputError(
            "the services need supervisord, which comes with the extra services: make up installs "
            f"it and starts them (or {command(install)})"
        )
    try:
        ACTIONS[arguments[0]](Path(), print)
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
        return FAILED
    return OK


ACTIONS: dict[str, Callable[[Path, Say], None]] = {
    "up": up,
    "down": down,
    "status": status,
    "run": run,
    "unit": unit,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
