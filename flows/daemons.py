"""A service of `make up`: start it detached, know when it is ready, end it and all it started.

What carries our mark in its environment is ours, so that a retraining whose server was killed is
found, too. Everything is kept below `.services/`.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from flows import SERVICES
from flows.records import Record, forget, read_record, write_record
from genre.errors import GenreError, InputError
from tasks import processes

HOST = "127.0.0.1"
LOGS = SERVICES / "logs"
MARK = "MUSIC_GENRE_SERVICE"  # names, in a process's environment, service and project
READY_SECONDS = 90.0  # far beyond what a slow machine needs
GRACE_SECONDS = 20.0  # between SIGTERM and SIGKILL: a retraining ends its step within 10
LOG_BYTES = 5_000_000  # a log that has grown beyond is put aside when its service starts
LOG_LINES = 15  # shown of the log of a service that did not start


@dataclass(frozen=True)
class Service:
    """One process to start: how, where it answers (empty: nowhere), and how to know it is ready."""

    name: str
    command: list[str]
    environment: dict[str, str]
    is_ready: Callable[[datetime], bool]
    port: int | None = None

    @property
    def address(self) -> str:
        """Its page on this machine."""
        return f"http://{HOST}:{self.port}" if self.port else ""

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return LOGS / f"{self.name}.log"


def mark(root: Path, name: str) -> str:
    """What `MARK` is in the environment of a service and of all that it starts."""
    return f"{name}@{root.resolve()}"


def start(service: Service) -> None:
    """Start one service, detached, and record it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    if service.log.exists() and service.log.stat().st_size > LOG_BYTES:
        service.log.replace(service.log.with_suffix(".log.old"))
    with service.log.open("ab") as log:
        process = subprocess.Popen(
            service.command,
            env=service.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    began = psutil.Process(process.pid).create_time()
    write_record(Record(service.name, process.pid, began, service.address, str(service.log)))


def wait_until_ready(service: Service) -> None:
    """Wait until a service answers. Raises `GenreError` where it ends or takes too long."""
    record = read_record(service.name)
    deadline = time.monotonic() + READY_SECONDS
    while record is not None and record.is_alive():
        if service.is_ready(datetime.fromtimestamp(record.began).astimezone()):
            return
        if time.monotonic() >= deadline:
            raise GenreError(
                f"{service.name} did not answer within {READY_SECONDS:.0f} s\n{tail(service.log)}"
            )
        time.sleep(0.2)
    raise GenreError(f"{service.name} ended while it started\n{tail(service.log)}")


def end(root: Path, name: str) -> bool:
    """End a service, its process group and all that carries its mark; say whether there was any."""
    record = read_record(name)

    def left() -> list[psutil.Process]:
        members = processes.group_members(record.pid) if record else []
        return [*members, *marked(root, name)]

    found = bool(left())
    processes.end_processes(left, GRACE_SECONDS)
    forget(name)
    return found


def end_marked(root: Path, name: str) -> None:
    """End what a service left that was itself killed."""
    processes.end_processes(lambda: marked(root, name), GRACE_SECONDS)


def marked(root: Path, name: str) -> list[psutil.Process]:
    """The living processes whose environment carries the mark of a service."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark(root, name) and processes.is_alive(process):
                found.append(process)
    return found


def check_port(service: Service) -> None:
    """Raise `InputError` where something else listens on the port of a service."""
    if service.port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, service.port))
        except OSError as error:
            raise InputError(
                f"params.yaml: services.{service.name}_port is {service.port}, which cannot be "
                f"used ({error.strerror}); end what listens there, or choose another port"
            ) from error


def tail(log: Path) -> str:
    """The last lines of a log."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"the end of {log}:", *lines])
