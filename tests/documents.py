"""Read the command blocks of README.md and docs/*.md, and run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
from trained_project import TrainedProject

SHELL, PYTHON = ("sh", "bash"), ("python",)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVER = re.compile(r"(?:Open|running on) (http://127\.0\.0\.1:\d+)")
READY_SECONDS, END_SECONDS = 300, 30


@dataclass(frozen=True)
class Block:
    """A fenced block and its location."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def is_command(self) -> bool:
        """Whether the block is a command, not only output."""
        return self.language in SHELL + PYTHON


def documents(root: Path) -> list[Path]:
    """README.md and the pages that it links to, in order."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def blocks(root: Path) -> list[Block]:
    """Every fenced block of the documents, in their order."""
    found = []
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        for fence in FENCE.finditer(text):
            line = text.count("\n", 0, fence.start()) + 1
            name = path.relative_to(root).as_posix()
            found.append(Block(name, line, fence[1], fence[2]))
    return found


def commands(script: str) -> list[str]:
    """The commands of a script; a command may span lines."""
    found, part = [], ""
    for line in script.splitlines():
        part += f"{line}\n"
        done = subprocess.run(["bash", "-n", "-c", part], capture_output=True, check=False)
        if done.returncode == 0:
            found.append(part)
            part = ""
    assert not part, f"the shell does not find this complete:\n{part}"
    return found


class Terminal:
    """Runs blocks in a project; a server runs until the end of the next block."""

    def __init__(self, project: TrainedProject, servers: tuple[str, ...]) -> None:
        self.project = project
        self.servers = servers
        self._serving: list[subprocess.Popen[str]] = []

    def run(self, block: Block, left_out: list[str]) -> str:
        """Run a block but for the commands `left_out`; return what it printed."""
        before = list(self._serving)
        try:
            if block.language in PYTHON:
                return self._python(block.text)
            return self._shell(block.text, left_out)
        finally:
            for process in before:
                self._end(process)

    def _python(self, text: str) -> str:
        """Run the lines in Python; print the value of the last one."""
        printed = self.project.shell(f".venv/bin/python -i <<'TYPED'\n{text}\nTYPED")
        assert "Traceback" not in printed, printed
        return printed

    def _shell(self, text: str, left_out: list[str]) -> str:
        printed, script = "", ""
        for command in commands(text):
            if command in left_out:
                continue
            if any(server in command for server in self.servers):
                printed += self._serve(script + command)
            else:
                script += command
        return printed + self.project.shell(script)

    def _serve(self, script: str) -> str:
        """Start a server; return its output until it responds."""
        log = self.project.home / f"server-{len(list(self.project.home.glob('server-*')))}"
        with log.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-e", "-c", script],
                cwd=self.project.root,
                env=self.project.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._serving.append(process)
        deadline = time.monotonic() + READY_SECONDS
        while not (found := SERVER.search(log.read_text())):
            assert process.poll() is None, f"$ {script}\n{log.read_text()}"
            assert time.monotonic() < deadline, f"$ {script}\n{log.read_text()}"
            time.sleep(0.2)
        page = "/ping" if "mlflow" in script else "/"
        with urllib.request.urlopen(found[1] + page, timeout=READY_SECONDS) as response:
            assert response.status == 200
        return log.read_text()

    def _end(self, process: subprocess.Popen[str]) -> None:
        """End a server that was started here, with its children."""
        self._serving.remove(process)
        if process.poll() is not None:
            return
        started = [psutil.Process(process.pid)]
        started += started[0].children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        _, alive = psutil.wait_procs(started, timeout=END_SECONDS)
        for one in alive:
            one.kill()
        process.wait(END_SECONDS)

    def close(self) -> None:
        """End the running servers."""
        for process in list(self._serving):
            self._end(process)
        self.project.shell("make down")
