"""The services at boot: a unit for systemd, written into `.services/` and never installed by us."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from flows import SERVICES
from flows.supervision import GRACE_SECONDS
from genre.files import write_text
from tasks.cli import BAD_INPUT

UNIT = "music-genre.service"
TEXT = """\
[Unit]
Description=Music genre pipeline in {described}

[Service]
Type=exec
WorkingDirectory={folder}
ExecStart={python} -m flows.services run
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={bad_input}
KillMode=mixed
TimeoutStopSec={stop}

[Install]
WantedBy=default.target
"""


def unit(root: Path, say: Callable[[str], None]) -> None:
    """Write the unit of this project and say how to enable it."""
    path = root.resolve() / SERVICES / UNIT
    write_text(path, unit_text(root))
    say(f"wrote {SERVICES / UNIT}; to start the services at boot, run:")
    say(f"  systemctl --user enable --now {shlex.quote(str(path))}")
    say("  loginctl enable-linger   # at boot, and not only when you log in")


def unit_text(root: Path) -> str:
    """A systemd user unit that keeps supervisord running in the foreground.

    Only supervisord gets SIGTERM (`KillMode=mixed`): it ends the services one after the other.
    """
    folder = str(root.resolve()).replace("%", "%%")
    return TEXT.format(
        described=folder,
        folder=folder,
        python=quoted(sys.executable),
        bad_input=BAD_INPUT,
        stop=4 * GRACE_SECONDS,
    )


def quoted(word: str) -> str:
    """A word of a command as systemd reads it."""
    for special, meant in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(special, meant)
    return f'"{word}"'
