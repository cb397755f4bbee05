"""Start, stop and show the services: Prefect's server, MLflow's UI and the served flows.

    python -m services.control up|down|status|run|boot

supervisord keeps them running. They use 127.0.0.1 only; their state is in `.services/`, so that
schedules and the history of runs are kept. `run` stays in the foreground, for systemd, whose unit
`boot` writes.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from flows import SERVICES, server
from flows.server import (
    GIVEN_UP,
    MLFLOW,
    POLL_SECONDS,
    READY_SECONDS,
    RUNNER,
    SERVER,
    Service,
    responds,
)
from genre.core.errors import GenreError, InputError
from genre.core.messages import command
from genre.core.params import Params, load_params
from genre.core.unexpected import one_line_errors
from genre.registry import resolve_uri
from services import deployments, supervision
from services.boot import boot
from services.supervision import LOGS
from tasks.io.step import BAD_INPUT, FAILED, OK

TITLES = {RUNNER: "retrain", MLFLOW: "MLflow", SERVER: "Prefect"}
STATE_NAMES = {"BACKOFF": "restarting", "EXITED": "restarting", "FATAL": "given up"}
LOCK = SERVICES / "lock"  # held by `make up` and `make down`
SQLITE = "sqlite:///"
Log = Callable[[str], None]


def settings(params: Params, root: Path) -> dict[str, str]:
    """Return the environment variables that `supervisord.conf` uses."""
    store = resolve_uri(params.tracking.uri, root)
    artifacts = Path(store.removeprefix(SQLITE)).parent / "artifacts"
    near = Path("/proc/self/cwd")  # a socket's path has about 100 characters at most
    return {
        supervision.PROJECT: str(root.resolve()),
        "MUSIC_GENRE_SOCKET": str((near if near.exists() else root.resolve()) / server.SOCKET),
        "MUSIC_GENRE_PREFECT_PORT": str(params.services.prefect_port),
        "MUSIC_GENRE_MLFLOW_PORT": str(params.services.mlflow_port),
        "MUSIC_GENRE_LOG_BYTES": str(params.services.log_bytes),
        "MUSIC_GENRE_STORE": shlex.quote(store),
        "MUSIC_GENRE_ARTIFACTS": shlex.quote(str(artifacts)),
        # A tracking server has its own UI.
        "MUSIC_GENRE_MLFLOW_PAGES": str(store.startswith(SQLITE)).lower(),
    }


def up(root: Path, log: Log) -> None:
    """Start the services, apply `params.yaml`, wait until they respond, and print addresses.

    Services that already run keep running. Raises `InputError` if a port is taken or a schedule is
    wrong, and `GenreError` if a service does not start; services started here are then ended.
    """
    params = load_params()
    timings = deployments.schedules(params)
    versions = {name: deployments.version(timing) for name, timing in timings.items()}
    wanted = settings(params, root)
    with FileLock(LOCK):
        before = server.services()
        try:
            if before is None:
                prepare(root, wanted)
                supervision.start(root, wanted)
            else:
                restart(before, log)
            services = wait_until_ready(versions)
        except BaseException:
            if before is None:
                supervision.end(root)
            raise
    log("already running" if before else "started")
    for name, service in services.items():
        if service.address:
            log(f"  {TITLES[name]:<8} {service.address}")
    if MLFLOW not in services:
        log(f"  {TITLES[MLFLOW]:<8} {params.tracking.uri}")
    log(f"  {RUNNER:<8} at {params.retrain.cron!r} ({params.retrain.timezone}), or from Prefect")
    for line in deployments.notes(services[SERVER].address):
        log(line)
    if {name: one.address for name, one in services.items()} != server.addresses(wanted):
        log("the services in params.yaml have changed; to apply them: `make down`, then `make up`")
    log(f"logs are in {LOGS}; `make down` ends all")


def prepare(root: Path, settings: Mapping[str, str]) -> None:
    """End services that a killed supervisord left. Raises `InputError` if a port is taken."""
    supervision.end(root)
    for name, address in server.addresses(settings).items():
        supervision.check_port(name, address)
    LOGS.mkdir(parents=True, exist_ok=True)


def restart(services: Mapping[str, Service], log: Log) -> None:
    """Restart services that supervisord gave up, and make the runner read `params.yaml`.

    Raises `InputError` if a port is taken.
    """
    if is_ready(SERVER, services):
        for name in deployments.missing(services[SERVER].address):
            log(f"{name} was missing in Prefect and is created again")
    for name, one in services.items():
        if one.state in GIVEN_UP:
            supervision.check_port(name, one.address)
            server.supervisor().startProcess(name, False)
    if services[RUNNER].pid:
        server.supervisor().signalProcess(RUNNER, "HUP")


def wait_until_ready(versions: dict[str, str]) -> dict[str, Service]:
    """Wait until all services respond and the deployments have these `versions`; return services.

    Raises `GenreError` if one ends while it starts, or takes too long.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        services = server.services()
        if services is None:
            raise GenreError(f"supervisord does not respond\n{supervision.tail('supervisord')}")
        for name, one in services.items():
            if one.state in (*GIVEN_UP, "BACKOFF"):
                raise GenreError(f"{name} ended while it started\n{supervision.tail(name)}")
        waiting = [name for name in services if not is_ready(name, services, versions)]
        if not waiting:
            return services
        if time.monotonic() >= deadline:
            raise GenreError(
                f"{', '.join(waiting)} did not respond within {READY_SECONDS:.0f} s\n"
                f"{supervision.tail(waiting[0])}"
            )
        time.sleep(POLL_SECONDS)


def is_ready(
    name: str, services: Mapping[str, Service], versions: dict[str, str] | None = None
) -> bool:
    """Whether a service responds; of the runner: whether it polls the server."""
    address = services[name].address
    if name == RUNNER:
        address = services[SERVER].address
        return deployments.are_served(address, services[name].began + 1, versions)
    return responds(f"{address}/api/health" if name == SERVER else f"{address}/health")


def down(root: Path, log: Log) -> None:
    """End supervisord, its services and their processes, and print which were running."""
    with FileLock(LOCK):
        ran = [title for name, title in TITLES.items() if supervision.processes(root, name)]
        supervision.end(root)
    log(f"ended: {', '.join(ran)}" if ran else "nothing was running")


def status(root: Path, log: Log) -> None:
    """Print the state and address of each service. Raises `GenreError` if one does not respond."""
    services = server.services()
    if services is None:
        if supervision.processes(root):
            raise GenreError(
                "supervisord was killed, and its services still run; `make up` restarts all, "
                "`make down` ends them"
            )
        log("nothing is running; `make up` starts the services")
        return
    line = "{:<9}{:<13}{:<9}{:<18}{}"
    log(line.format("service", "state", "pid", "up for", "address"))
    not_ready = []
    for name, one in services.items():
        state = STATE_NAMES.get(one.state, one.state.lower())
        if one.pid:
            state = "ready" if is_ready(name, services) else "starting"
        if state != "ready":
            not_ready.append(f"{name} ({state})")
        since = str(timedelta(seconds=int(time.time() - one.began))) if one.pid else ""
        log(line.format(name, state, one.pid or "", since, one.address).rstrip())
    log(f"logs are in {LOGS}")
    address = services[SERVER].address
    for note in deployments.notes(address) if is_ready(SERVER, services) else []:
        log(note)
    if not_ready:
        raise GenreError(f"not ready: {', '.join(not_ready)}")


def run(root: Path, log: Log) -> None:  # noqa: ARG001
    """Become supervisord in the foreground. Raises `InputError` if the services already run."""
    wanted = settings(load_params(), root)
    with FileLock(LOCK):
        if server.services() is not None:
            raise InputError("the services already run; `make down` ends them")
        prepare(root, wanted)
    os.execve(supervision.COMMAND[0], supervision.COMMAND, supervision.environment(wanted))


@one_line_errors
def main(arguments: list[str]) -> int:
    """Run one of `ACTIONS` in the project's folder."""
    if len(arguments) != 1 or arguments[0] not in ACTIONS:
        expected = f"python -m services.control {'|'.join(ACTIONS)}"
        print(f"error: expected one of: {expected}", file=sys.stderr)
        return BAD_INPUT
    if find_spec("supervisor") is None:
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


ACTIONS: dict[str, Callable[[Path, Log], None]] = {
    "up": up,
    "down": down,
    "status": status,
    "run": run,
    "boot": boot,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
