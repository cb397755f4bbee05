"""Run the page on 127.0.0.1, so that nothing leaves this computer and nothing stays on it.

All that the page writes is in one temporary folder, which is removed when the server ends. A song
is removed as soon as its genre is predicted (`genre.app.page`).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.collection import demo
from genre.collection.manifest import MANIFEST
from genre.core.errors import InputError

if TYPE_CHECKING:
    import gradio
    from fastapi import FastAPI

HOST = "127.0.0.1"
# The first song of each is in a format that browsers play, which AIFF is not.
EXAMPLES = ("blues", "classical", "hiphop", "metal", "reggae", "rock")
EXAMPLES_SEED = 2026  # not that of the demo collection: these songs are unseen
GOODBYE_SECONDS = 1  # that open connections have when the server ends
ICON = Path(__file__).with_name("icon.svg")
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
# Whatever the page's scripts ask for, the browser loads nothing from elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Place:
    """Where the page writes: uploaded songs, and the example songs."""

    uploads: Path
    examples: Path


@contextmanager
def listening(port: int, *, any_other: bool) -> Iterator[socket.socket]:
    """A socket on `port` of 127.0.0.1, or if that is taken and `any_other`, on a free one.

    Raises `InputError` if the port is taken.
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
    """Write a demo song of each of `EXAMPLES` to `folder`; they are synthetic."""
    demo.write_songs(folder, seed=EXAMPLES_SEED, songs_per_genre=1, genres=EXAMPLES, workers=1)
    songs = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
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
    """`page` as a web application for the browsers of this computer alone."""
    import gradio
    from fastapi import FastAPI, Request
    from fastapi.middleware.trustedhost import TrustedHostMiddleware

    from genre.app.page import CSS, SCRIPT, theme

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

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
