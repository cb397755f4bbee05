"""Run the page on 127.0.0.1, so that nothing leaves this computer and nothing stays on it.

All that the page writes lies in one temporary folder. A song is removed as soon as it was answered
(`genre.app.page`); what is left otherwise, as of an upload that broke off, is swept `LEFT_SECONDS`
later, and the folder goes when the server ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre import demo
from genre.errors import InputError

if TYPE_CHECKING:
    import gradio
    from fastapi import FastAPI

HOST = "127.0.0.1"
EXAMPLES = ("blues", "classical", "hiphop", "jazz", "metal", "reggae")
EXAMPLES_SEED = 2026  # not that of the demo collection: no model learned from these songs
LEFT_SECONDS = 900.0
SWEEP_SECONDS = 60.0
GOODBYE_SECONDS = 1  # that open connections have when the server ends
ICON = Path(__file__).with_name("icon.svg")
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
# Should the page's scripts ever ask for anything that is not here, the browser does not.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


@dataclass(frozen=True)
class Place:
    """Where the page writes: songs that are being heard, and the example songs."""

    uploads: Path
    examples: Path


@contextmanager
def listening(port: int, *, any_other: bool) -> Iterator[socket.socket]:
    """A socket on `port` of 127.0.0.1, or on a free port where that is taken and any will do.

    Raises `InputError` where the port is taken.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()
        except OSError as error:
            if not any_other:
                raise InputError(
                    f"--port {port} of {HOST} cannot be had ({error.strerror}); name another, or "
                    "0 for a free one"
                ) from error
            with listening(0, any_other=False) as free:
                yield free
            return
        yield listener


@contextmanager
def workplace() -> Iterator[Place]:
    """A temporary folder for all that is written, removed at the end, also on SIGTERM."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="genre-app-", ignore_cleanup_errors=True) as name:
        place = Place(Path(name, "uploads").resolve(), Path(name, "examples").resolve())
        place.uploads.mkdir()
        os.environ.update(ENVIRONMENT, GRADIO_TEMP_DIR=str(place.uploads))
        yield place


def make_examples(folder: Path) -> list[Path]:
    """Play a demo song of each of `EXAMPLES` to `folder`; they are synthetic."""
    demo.write_songs(folder, seed=EXAMPLES_SEED, songs_per_genre=1, genres=EXAMPLES, workers=1)
    songs = (path for path in folder.rglob("*") if path.is_file() and path.name != demo.MANIFEST)
    return sorted(songs)


def serve(page: gradio.Blocks, listener: socket.socket, place: Place, *, max_bytes: int) -> None:
    """Serve `page` on `listener` until a signal ends it."""
    import uvicorn

    tempfile.tempdir = str(place.uploads)  # of what Gradio writes besides
    server = uvicorn.Server(
        uvicorn.Config(
            application(page, listener.getsockname()[1], place, max_bytes=max_bytes),
            log_level="warning",
            timeout_graceful_shutdown=GOODBYE_SECONDS,
        )
    )
    server.run(sockets=[listener])


def application(page: gradio.Blocks, port: int, place: Place, *, max_bytes: int) -> FastAPI:
    """`page` as a web application that answers this computer's browsers alone."""
    import gradio
    from fastapi import FastAPI
    from fastapi.middleware.trustedhost import TrustedHostMiddleware

    from genre.app.page import CSS, SCRIPT, theme

    @asynccontextmanager
    async def swept(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep_now_and_then(place.uploads))
        try:
            yield
        finally:
            task.cancel()

    app = FastAPI(lifespan=swept, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Headers)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    mounted: FastAPI = gradio.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=HOST,
        server_port=port,
        footer_links=[],
        run_history=False,
        max_file_size=max_bytes,
        allowed_paths=[str(place.examples)],
        favicon_path=str(ICON),
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        theme=theme(),
        css_paths=[CSS],
        head=f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>",
    )
    return mounted


class _Headers:
    """Adds `HEADERS` to every response."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)


async def _sweep_now_and_then(folder: Path) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await asyncio.to_thread(sweep, folder, time.time() - LEFT_SECONDS)


def sweep(folder: Path, before: float) -> None:
    """Remove the files below `folder` that were last written `before`, and emptied folders."""
    for path in sorted(folder.rglob("*"), reverse=True):
        with suppress(OSError):  # gone by now, or a folder in use
            if path.is_dir():
                path.rmdir()
            elif path.stat().st_mtime < before:
                path.unlink()


def discard(song: Path, uploads: Path) -> None:
    """Remove an uploaded song, and the folder that holds it alone."""
    if uploads not in song.parents:
        return
    song.unlink(missing_ok=True)
    if song.parent != uploads:
        shutil.rmtree(song.parent, ignore_errors=True)
