"""A running `genre app` and a browser for it, shared by the tests of the page."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import songs
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
MEGABYTES, MINUTES = 4, 2  # of its limits
LOCAL = ("http://127.0.0.1:", "data:", "blob:")


@dataclass
class Server:
    """A running `genre app`; all that it may write to lies below `scratch`."""

    process: subprocess.Popen[str]
    url: str
    scratch: Path

    def left(self) -> list[Path]:
        """The files it holds, without its example songs and the model."""
        return [
            path
            for path in self.scratch.rglob("*")
            if path.is_file()
            and path.stat().st_size
            and "examples" not in path.parts
            and not path.relative_to(self.scratch).parts[0].startswith("genre-model-")
        ]


@contextmanager
def running(project: Path, scratch: Path, log: Path) -> Iterator[Server]:
    """Serve the page of `project`, its errors in the file `log`, and end it by its process."""
    with log.open("w") as errors:
        limits = ["--max-megabytes", str(MEGABYTES), "--max-minutes", str(MINUTES)]
        process = subprocess.Popen(
            [sys.executable, "-m", "genre.cli", "--root", project, "app", "--port", "0", *limits],
            env={**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            match = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+)\n", said)
            assert match, said + log.read_text()
            yield Server(process, match[1], scratch)
        finally:
            process.kill()
            process.wait()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium with a microphone that beeps; skips where it is absent, but not in CI."""
    if CHROMIUM is None and os.environ.get("CI") != "true":
        pytest.skip("chromium is not installed (apt-get install chromium)")
    assert CHROMIUM, "CI must have chromium: .ci/run installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(
    server: Server, browser: Browser, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> Iterator[Page]:
    """Open the page; fails at the end if it ever asked for something from elsewhere."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    asked: list[str] = []
    context.on("request", lambda one: asked.append(one.url))
    page = context.new_page()
    page.goto(server.url)
    yield page
    context.close()
    assert asked
    assert [url for url in asked if not url.startswith(LOCAL)] == []


def write_bad(folder: Path) -> Path:
    """Fill `folder` with files that have no prediction."""
    (folder / "garbage.mp3").write_bytes(np.random.default_rng(0).bytes(9_000))
    (folder / "notes.txt").write_text("not a song\n")
    (folder / "empty.wav").touch()
    songs.write(folder / "silence.wav", np.zeros((5 * songs.RATE, 1), np.float32))
    songs.write(folder / "long.flac", np.zeros((200 * songs.RATE, 1), np.float32))
    (folder / "<img src=x onerror=alert(1)>.mp3").write_bytes(b"no music")
    return folder


def give(page: Page, path: Path) -> None:
    """Choose a file."""
    page.locator("#file input[type=file]").set_input_files(path)


def drop(page: Page, path: Path) -> None:
    """Let a file fall where files are asked for."""
    content = base64.b64encode(path.read_bytes()).decode()
    carried = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], name));
            return carried;
        }""",
        [path.name, content],
    )
    page.locator("#file button").last.dispatch_event("drop", {"dataTransfer": carried})


def brightness(colour: str) -> float:
    """The relative luminance (WCAG 2.2) of a colour as the browser writes it."""
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
