"""Write a systemd unit for the services to `.services/` (the user enables it)."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from flows import SERVICES
from genre.core.files import write_text

UNIT = "music-genre.service"
# systemd restarts supervisord except after `make down` (exit code 0) and bad input (2). Only
# supervisord gets SIGTERM (KillMode=mixed): it stops its services one after the other.
TEXT = """\
[Unit]
Description=Music genre pipeline in {folder}

[Service]
Type=exec
WorkingDirectory={folder}
ExecStart={python} -m services.control run
Restart=always
RestartSec=5
RestartPreventExitStatus=0 2
KillMode=mixed
TimeoutStopSec=80

[Install]
WantedBy=default.target
"""


def boot(root: Path, log: Callable[[str], None]) -> None:
    """Write the unit of the project at `root` and print how to enable it."""
    path = root.resolve() / SERVICES / UNIT
    folder = str(root.resolve()).replace("%", "%%")
    write_text(path, TEXT.format(folder=folder, python=quoted(sys.executable)))
    log(f"wrote {SERVICES / UNIT}; to start the services at boot, run:")
    log(f"  systemctl --user enable --now {shlex.quote(str(path))}")
    log("  loginctl enable-linger   # at boot, not only at login")


def quoted(word: str) -> str:
    """Quote an argument for systemd."""
    for special, meant in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, meant)
    return f'"{word}"'
