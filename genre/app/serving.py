"""Serve the page on 127.0.0.1; songs are neither sent anywhere nor kept.

The page writes to one temporary folder, which is removed when the server ends. A song is removed as
soon as its genre is predicted (`genre.app.page`).
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
# The first song of each of these is in a format that browsers can play (AIFF is not).
EXAMPLES = ("blues", "classical", "hiphop", "metal", "reggae", "rock")
EXAMPLES_SEED = 2026  # another than that of the demo collection, so that songs are unseen
SHUTDOWN_SECONDS = 1  # for open connections when the server ends
ICON = Path(__file__).with_name("icon.svg")
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}
# The browser loads nothing from other hosts.
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
class Folders:
    """The temporary folders of the page: uploaded songs, and example songs."""

    uploads: Path
    examples: Path


@contextmanager
def open_socket(port: int, *, any_other: bool) -> Iterator[socket.socket]:
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
                    f"--port {port} of {HOST} cannot be used ({error.strerror}); choose another, "
                    "or 0 for a free one"
                ) from error
            with open_socket(0, any_other=False) as free:
                yield free
            return
        yield listener


@contextmanager
def temporary_folders() -> Iterator[Folders]:
    """The temporary folders of the page, removed at the end, also on SIGTERM."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="genre-app-", ignore_cleanup_errors=True) as name:
        folders = Folders(Path(name, "uploads").resolve(), Path(name, "examples").resolve())
        folders.uploads.mkdir()
        os.environ.update(ENVIRONMENT, GRADIO_TEMP_DIR=str(folders.uploads))
        yield folders


def make_examples(folder: Path) -> list[Path]:
    """Write a demo song of each of `EXAMPLES` to `folder`; they are synthetic."""
    demo.write_songs(folder, seed=EXAMPLES_SEED, songs_per_genre=1, genres=EXAMPLES, workers=1)
    songs = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return sorted(songs)


def serve(
    page: gradio.Blocks, listener: socket.socket, folders: Folders, *, max_bytes: int
) -> None:
    """Serve `page` on `listener` until a signal ends it."""
    import uvicorn

    tempfile.tempdir = str(folders.uploads)  # for other files of Gradio
    server = uvicorn.Server(
        uvicorn.Config(
            application(page, listener.getsockname()[1], folders, max_bytes=max_bytes),
            log_level="warning",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
    server.run(sockets=[listener])


def application(page: gradio.Blocks, port: int, folders: Folders, *, max_bytes: int) -> FastAPI:
    """`page` as a web application that only this computer can open."""
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
        allowed_paths=[str(folders.examples)],
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
