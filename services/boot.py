"""A systemd unit for the services, written into `.services/` and never installed by us."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from flows import SERVICES
from genre.core.files import write_text

UNIT = "music-genre.service"
# systemd restarts supervisord whatever ended it, but for `make down` (exit code 0) and bad input
# (2). Only supervisord gets SIGTERM (KillMode=mixed): it ends its services one after the other.
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


def boot(root: Path, say: Callable[[str], None]) -> None:
    """Write the unit of the project at `root` and say how to enable it."""
    path = root.resolve() / SERVICES / UNIT
    folder = str(root.resolve()).replace("%", "%%")
    write_text(path, TEXT.format(folder=folder, python=quoted(sys.executable)))
    say(f"wrote {SERVICES / UNIT}; to start the services at boot, run:")
    say(f"  systemctl --user enable --now {shlex.quote(str(path))}")
    say("  loginctl enable-linger   # at boot, and not only when you log in")


def quoted(word: str) -> str:
    """A word of a command as systemd reads it."""
    for special, meant in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, meant)
    return f'"{word}"'
