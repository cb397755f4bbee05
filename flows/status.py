"""`make status`: what runs, since when, how much memory it holds, where it answers and writes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil

from flows import deployments
from flows.daemons import is_ready, marked
from flows.records import SERVER, read_plan
from flows.supervision import RUNS, SUPERVISOR, Process, log, states
from flows.web import answers
from genre.errors import GenreError

WORDS = {"BACKOFF": "tried again", "FATAL": "given up", "EXITED": "tried again"}
HEAD = ("service", "state", "pid", "up for", "MB", "address", "log")
MB = 1_000_000


def status(root: Path, say: Callable[[str], None]) -> None:
    """Say a line a service. Raises `GenreError` where one should run and does not answer.

    Memory is the proportional share (PSS) of a service and all that it started, in 10⁶ bytes:
    pages that several processes share are counted once in the sum.
    """
    now = states()
    if now is None:
        say("nothing is running; `make up` starts the services")
        if marked(root):
            raise GenreError("supervisord was killed; `make up` takes over what it left")
        return
    services = {service.name: service for service in read_plan()}
    supervisor = next((p for p in marked(root, SUPERVISOR)), None)
    now = {SUPERVISOR: Process("RUNNING", supervisor.pid if supervisor else 0), **now}
    rows, silent, total = [HEAD], [], 0.0
    for name, process in now.items():
        word = WORDS.get(process.state, process.state.lower())
        if name in services and process.state in RUNS:
            word = "ready" if is_ready(services[name], services) else "starting"
        if name in services and word != "ready":
            silent.append(f"{name} ({word})")
        memory = sum(map(share, marked(root, name))) / MB
        total += memory
        address = services[name].address if name in services else ""
        pid, since = str(process.pid or ""), uptime(process.pid)
        rows.append((name, word, pid, since, f"{memory:.0f}", address, str(log(name))))
    rows.append(("all", "", "", "", f"{total:.0f}", "", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    server = services[SERVER].address if SERVER in services else ""
    if server and answers(f"{server}/api/health"):
        for line in deployments.warnings(server, deployments.read_served().crons):
            say(line)
    if silent:
        raise GenreError(f"not ready: {', '.join(silent)}")


def share(process: psutil.Process) -> int:
    """Bytes that a process holds, of shared ones its part; 0 for one that has ended."""
    with contextlib.suppress(psutil.Error):
        found = process.memory_full_info()
        return int(getattr(found, "pss", found.uss))
    return 0


def uptime(pid: int) -> str:
    """For how long a process has run, such as `1 day, 2:03:04`."""
    with contextlib.suppress(psutil.Error):
        if pid:
            return str(timedelta(seconds=int(time.time() - psutil.Process(pid).create_time())))
    return ""
