"""Become a service of `.services/services.json`: supervisord runs `python -m flows.launch NAME`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from flows import SERVICES
from flows.records import PLAN, read_plan
from tasks.cli import BAD_INPUT


def launch(name: str) -> NoReturn:
    """Replace this process by the service of this name."""
    service = {service.name: service for service in read_plan()}.get(name)
    if service is None:
        print(f"error: {SERVICES / PLAN}: no service {name}; run make up", file=sys.stderr)
        sys.exit(BAD_INPUT)
    os.execve(service.command[0], service.command, {**os.environ, **service.environment})


if __name__ == "__main__":
    launch(sys.argv[1])
