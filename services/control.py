"""Prefect's server, MLflow's pages and the served flows, kept running by supervisord.

    python -m services.control up|down|status|run|boot

All listen on 127.0.0.1 or talk to it. Their state is in `.services/`, so that schedules and the
history of runs survive. `run` stays in the foreground, for systemd, whose unit `boot` writes.
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
    answers,
)
from genre.core.errors import GenreError, InputError
from genre.core.messages import command
from genre.core.params import Params, load_params
from genre.core.unexpected import one_line
from genre.registry import resolve_uri
from services import deployments, supervision
from services.boot import boot
from services.supervision import LOGS
from tasks.io.step import BAD_INPUT, FAILED, OK

TITLES = {RUNNER: "retrain", MLFLOW: "MLflow", SERVER: "Prefect"}
WORDS = {"BACKOFF": "tried again", "EXITED": "tried again", "FATAL": "given up"}
LOCK = SERVICES / "lock"  # of make up and make down
SQLITE = "sqlite:///"
Say = Callable[[str], None]


def settings(params: Params, root: Path) -> dict[str, str]:
    """The environment variables that `supervisord.conf` names."""
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
        # The pages of a tracking server are that server's.
        "MUSIC_GENRE_MLFLOW_PAGES": str(store.startswith(SQLITE)).lower(),
    }


def up(root: Path, say: Say) -> None:
    """Start what does not run, have `params.yaml` applied, wait until all respond, and say where.

    Raises `InputError` if a port is taken or a schedule is wrong, and `GenreError` if a service
    does not start; if everything was started here, it is then ended again.
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
                start_again(before, say)
            services = wait_until_ready(versions)
        except BaseException:
            if before is None:
                supervision.end(root)
            raise
    say("already running" if before else "started")
    for name, service in services.items():
        if service.address:
            say(f"  {TITLES[name]:<8} {service.address}")
    if MLFLOW not in services:
        say(f"  {TITLES[MLFLOW]:<8} {params.tracking.uri}")
    say(f"  {RUNNER:<8} at {params.retrain.cron!r} ({params.retrain.timezone}), or from Prefect")
    for line in deployments.notes(services[SERVER].address):
        say(line)
    if {name: one.address for name, one in services.items()} != server.addresses(wanted):
        say("params.yaml has other services now; `make down`, then `make up` to have them")
    say(f"logs are in {LOGS}; `make down` ends all")


def prepare(root: Path, settings: Mapping[str, str]) -> None:
    """End what a killed supervisord left. Raises `InputError` if a port is taken."""
    supervision.end(root)
    for name, address in server.addresses(settings).items():
        supervision.check_port(name, address)
    LOGS.mkdir(parents=True, exist_ok=True)


def start_again(services: Mapping[str, Service], say: Say) -> None:
    """Start what supervisord gave up, and have the runner read `params.yaml`; say what was missing.

    Raises `InputError` if a port is taken.
    """
    if is_ready(SERVER, services):
        for name in deployments.missing(services[SERVER].address):
            say(f"{name} was missing in Prefect and is created again")
    for name, one in services.items():
        if one.state in GIVEN_UP:
            supervision.check_port(name, one.address)
            server.ask().startProcess(name, False)
    if services[RUNNER].pid:
        server.ask().signalProcess(RUNNER, "HUP")


def wait_until_ready(versions: dict[str, str]) -> dict[str, Service]:
    """Wait until all services respond and the deployments have these `versions`; return them.

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
    """Whether a service responds; the runner: whether it asks the server for work."""
    address = services[name].address
    if name == RUNNER:
        address = services[SERVER].address
        return deployments.are_served(address, services[name].began + 1, versions)
    return answers(f"{address}/api/health" if name == SERVER else f"{address}/health")


def down(root: Path, say: Say) -> None:
    """End supervisord, its services and all that they started, and say what was running."""
    with FileLock(LOCK):
        ran = [title for name, title in TITLES.items() if supervision.processes(root, name)]
        supervision.end(root)
    say(f"ended: {', '.join(ran)}" if ran else "nothing was running")


def status(root: Path, say: Say) -> None:
    """Say of each service whether it responds, and where. Raises `GenreError` if one does not."""
    services = server.services()
    if services is None:
        if supervision.processes(root):
            raise GenreError(
                "supervisord was killed, and nothing restarts what it left running; `make up` "
                "starts all again, `make down` ends it"
            )
        say("nothing is running; `make up` starts the services")
        return
    line = "{:<9}{:<13}{:<9}{:<18}{}"
    say(line.format("service", "state", "pid", "up for", "address"))
    silent = []
    for name, one in services.items():
        word = WORDS.get(one.state, one.state.lower())
        if one.pid:
            word = "ready" if is_ready(name, services) else "starting"
        if word != "ready":
            silent.append(f"{name} ({word})")
        since = str(timedelta(seconds=int(time.time() - one.began))) if one.pid else ""
        say(line.format(name, word, one.pid or "", since, one.address).rstrip())
    say(f"logs are in {LOGS}")
    address = services[SERVER].address
    for note in deployments.notes(address) if is_ready(SERVER, services) else []:
        say(note)
    if silent:
        raise GenreError(f"not ready: {', '.join(silent)}")


def run(root: Path, say: Say) -> None:  # noqa: ARG001
    """Become supervisord in the foreground. Raises `InputError` if the services already run."""
    wanted = settings(load_params(), root)
    with FileLock(LOCK):
        if server.services() is not None:
            raise InputError("the services already run; `make down` ends them")
        prepare(root, wanted)
    os.execve(supervision.COMMAND[0], supervision.COMMAND, supervision.environment(wanted))


@one_line
def main(arguments: list[str]) -> int:
    """Do one of `ACTIONS` in the project's folder."""
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


ACTIONS: dict[str, Callable[[Path, Say], None]] = {
    "up": up,
    "down": down,
    "status": status,
    "run": run,
    "boot": boot,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
