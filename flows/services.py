"""`make up` and `make down`: Prefect's server, MLflow's pages and the served `retrain` flow.

    python -m flows.services up|down

All three listen on 127.0.0.1 or talk to it, and run detached from the terminal. Their state lies
below `.services/`, so that schedules and the history of runs survive.
"""

from __future__ import annotations

import contextlib
import fcntl
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from flows import SERVICES, SETTINGS
from flows.daemons import (
    HOST,
    LOGS,
    MARK,
    Service,
    check_port,
    end,
    end_marked,
    mark,
    start,
    wait_until_ready,
)
from flows.records import MLFLOW, RUNNER, SERVER, read_record
from flows.web import answers, read_json
from genre.errors import GenreError, InputError
from genre.params import Params, load_params
from genre.registry import resolve_uri
from tasks import dvc_command
from tasks.cli import BAD_INPUT, FAILED, OK

TITLES = {SERVER: "Prefect", MLFLOW: "MLflow", RUNNER: "retrain"}
SQLITE = "sqlite:///"


def describe(params: Params, root: Path) -> list[Service]:
    """The services of the project at `root`, in the order in which they start."""
    server = f"http://{HOST}:{params.services.prefect_port}"
    deployment = f"{server}/api/deployments/name/retrain/retrain"
    services = [
        Service(
            SERVER,
            listening("prefect", "server", "start", port=params.services.prefect_port),
            environment(root, SERVER)
            | {
                "PREFECT_SERVER_UI_API_URL": f"{server}/api",
                "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            },
            lambda _: answers(f"{server}/api/health"),
            params.services.prefect_port,
        ),
        Service(
            RUNNER,
            [sys.executable, "-m", "flows.serve"],
            environment(root, RUNNER) | {"PREFECT_API_URL": f"{server}/api"},
            lambda since: is_polled(deployment, since),
        ),
    ]
    store = resolve_uri(params.tracking.uri, root)
    if store.startswith(SQLITE):  # a server's pages are that server's
        services.insert(1, mlflow_pages(store, params.services.mlflow_port, root))
    return services


def mlflow_pages(store: str, port: int, root: Path) -> Service:
    """MLflow's pages on the SQLite `store`, with the artifacts that lie beside it."""
    artifacts = Path(store.removeprefix(SQLITE)).parent / "artifacts"
    where = ["--backend-store-uri", store, "--artifacts-destination", str(artifacts)]
    return Service(
        MLFLOW,
        [*listening("mlflow", "server", port=port), "--workers", "1", *where],
        # Its job runners are eight processes for what this project does not use.
        environment(root, MLFLOW) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        lambda _: answers(f"http://{HOST}:{port}/health"),
        port,
    )


def listening(*command: str, port: int) -> list[str]:
    """The command of a Python module that listens on this machine alone."""
    return [sys.executable, "-P", "-m", *command, "--host", HOST, "--port", str(port)]


def environment(root: Path, name: str) -> dict[str, str]:
    """The environment of the service `name`: this project's, whatever the person's own says."""
    own = {
        key: value for key, value in dvc_command.environment().items() if key != "PREFECT_API_URL"
    }
    return {**own, **SETTINGS, MARK: mark(root, name), "PREFECT_RUNNER_POLL_FREQUENCY": "5"}


def is_polled(address: str, since: datetime) -> bool:
    """Whether the deployment has been asked for work since then: its runner is at work."""
    polled: Any = (read_json(address) or {}).get("last_polled")
    return polled is not None and datetime.fromisoformat(polled) >= since


def up(root: Path, say: Callable[[str], None]) -> None:
    """Start what is not running yet, wait until all answer, and say where.

    Raises `InputError` where a port is taken, and `GenreError` where a service does not start;
    what was started is then ended again.
    """
    params = load_params()
    services = describe(params, root)
    with only_one():
        missing = [service for service in services if read_record(service.name) is None]
        for service in missing:
            end_marked(root, service.name)
            check_port(service)
        started: list[str] = []
        try:
            for service in missing:
                started.append(service.name)
                start(service)
            for service in missing:
                wait_until_ready(service)
        except BaseException:
            for name in reversed(started):
                end(root, name)
            raise
    say("started" if missing else "already running")
    for service in services:
        if service.address:
            say(f"  {TITLES[service.name]:<8} {service.address}")
    if all(service.name != MLFLOW for service in services):
        say(f"  {TITLES[MLFLOW]:<8} {params.tracking.uri}")
    say(f"  {RUNNER:<8} at {params.retrain.cron!r} ({params.retrain.timezone}), or from Prefect")
    say(f"logs are in {LOGS}; `make down` ends all (so that params.yaml is read again, too)")


def down(root: Path, say: Callable[[str], None]) -> None:
    """End every service and what it started, the flow's runner first, and say what was done."""
    with only_one():
        ended = [TITLES[name] for name in (RUNNER, MLFLOW, SERVER) if end(root, name)]
    say(f"ended: {', '.join(ended)}" if ended else "nothing was running")


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Refuse to work while another `make up` or `make down` does."""
    SERVICES.mkdir(exist_ok=True)
    with (SERVICES / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GenreError("another make up or make down is at work; wait for it") from error
        yield


def main(arguments: list[str]) -> int:
    """Run `up` or `down` in the project's folder."""
    actions = {"up": up, "down": down}
    if len(arguments) != 1 or arguments[0] not in actions:
        print("error: expected one of: python -m flows.services up|down", file=sys.stderr)
        return BAD_INPUT
    try:
        actions[arguments[0]](Path(), print)
    except GenreError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
        return FAILED
    return OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
