"""Adding from a URL, against a server on this machine."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import memory
import pytest
from folders import left_behind, songs_in

from genre.collection import add, download
from genre.collection.archives import Limits
from genre.core.errors import CollectionError, GenreError

PAGES: dict[str, bytes] = {}
ASKED: list[dict[str, str]] = []  # the headers of requests that can be resumed


class Handler(BaseHTTPRequestHandler):
    """Serves `PAGES`, and errors."""

    def do_GET(self) -> None:
        page = self.path.partition("?")[0]
        if page == "/moved":
            self.answer(302, b"", Location="/songs.zip")
        elif page == "/to-file":
            self.answer(302, b"", Location="file:///etc/passwd")
        elif page == "/to-ftp":
            self.answer(302, b"", Location="ftp://127.0.0.1/songs.zip")
        elif page == "/round":
            self.answer(302, b"", Location="/round")
        elif page == "/busy":
            self.answer(503, b"")
        elif page == "/short":
            self.answer(200, b"x" * 10, **{"Content-Length": "1000"})
        elif page == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        elif page == "/moved-and-long":
            self.send_response(302)
            self.send_header("Location", "/songs.zip")
            self.end_headers()
            try:
                for _ in range(3_000):
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        elif page.startswith("/breaks"):
            self.break_off(page)
        elif page == "/private":
            known = self.headers["Authorization"] == "Basic YW5uOnBAc3M="  # ann:p@ss
            self.answer(200 if known else 401, PAGES["/songs.zip"] if known else b"")
        elif page == "/slow":
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            STOP.wait(20)
        elif page in PAGES:
            self.answer(200, PAGES[page])
        else:
            self.answer(404, b"")

    def answer(self, code: int, content: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def break_off(self, page: str) -> None:
        """Send half of the archive, and the rest if it is requested and the file is unchanged."""
        content = PAGES["/songs.zip"]
        half = len(content) // 2
        first = not ASKED
        ASKED.append(dict(self.headers))
        tag = {"ETag": '"1"' if first or page == "/breaks" else '"2"'}
        if page == "/breaks-for-good":
            tag = {}
        if first or page == "/breaks-for-good":
            self.answer(200, content[:half], **tag, **{"Content-Length": str(len(content))})
        elif tag["ETag"] == self.headers["If-Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            part = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], **tag, **{"Content-Range": part})
        else:
            self.answer(200, content, **tag)

    def log_message(self, *_arguments: object) -> None:
        pass


STOP = threading.Event()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    archive = tmp_path_factory.mktemp("served") / "songs.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("blues/a.mp3", "A" * 1000)
        packed.writestr("rock/b.mp3", "B")
    PAGES["/songs.zip"] = archive.read_bytes()
    PAGES["/page.html"] = b"<html>"
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{served.server_address[1]}"
    STOP.set()
    served.shutdown()
    served.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_an_archive_is_downloaded_verified_and_added(server: str, tmp_path: Path) -> None:
    right = hashlib.sha256(PAGES["/songs.zip"]).hexdigest()
    output: list[str] = []
    added = add(f"{server}/songs.zip?key=secret", tmp_path, sha256=right, log=output.append)
    assert set(songs_in(tmp_path)) == set(added.added) == {"blues/a.mp3", "rock/b.mp3"}
    assert output[0] == f"Downloading {server}/songs.zip …"
    assert left_behind(tmp_path) == []
    assert add(f"{server}/moved", tmp_path, log=output.append).already == 2


def test_a_wrong_sha256_is_refused_before_anything_is_unpacked(server: str, tmp_path: Path) -> None:
    output: list[str] = []
    with pytest.raises(CollectionError, match=r"found sha256 .* expected 0000"):
        add(f"{server}/songs.zip", tmp_path, sha256="0" * 64, log=output.append)
    assert not any("Unpacking" in line for line in output)
    assert not (tmp_path / "data/raw").exists()
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("page", "kind", "message"),
    [
        ("/nowhere", CollectionError, "responded with 404 Not Found"),
        ("/page.html", CollectionError, "page.html: cannot be unpacked as zip"),
        ("/to-file", CollectionError, "redirects to file://.* refused"),
        ("/to-ftp", CollectionError, "redirects to ftp://.* refused"),
        ("/round", CollectionError, "redirects more than 10 times"),
        ("/endless", CollectionError, "larger than 0.001 GB"),
        ("/busy", GenreError, "responded with 503"),
        ("/short", GenreError, r"cannot be downloaded \(.*received 10 bytes, expected 1000"),
        ("/a b\n", CollectionError, "not an address"),
    ],
)
def test_a_failed_download_is_reported_and_nothing_is_written(
    server: str, tmp_path: Path, page: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(GenreError, match=message) as caught:
        add(server + page, tmp_path, limits=Limits(gigabytes=0.001))
    assert type(caught.value) is kind
    assert not (tmp_path / "data/raw").exists()
    assert left_behind(tmp_path) == []


def test_a_file_with_a_content_length_beyond_the_limit_is_not_downloaded(
    server: str, tmp_path: Path
) -> None:
    with pytest.raises(CollectionError, match="--max-gigabytes"):
        add(f"{server}/songs.zip", tmp_path, limits=Limits(gigabytes=1e-7))


def test_a_server_that_does_not_respond_is_a_temporary_error(server: str, tmp_path: Path) -> None:
    with pytest.raises(GenreError, match="timed out") as caught:
        download.fetch(f"{server}/slow", tmp_path / "x", gigabytes=1, timeout=0.3)
    assert not isinstance(caught.value, CollectionError)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(GenreError, match=r"cannot be downloaded \(.*refused.*try again"):
        download.fetch(f"http://127.0.0.1:{port}/x", tmp_path / "x", gigabytes=1)


@pytest.mark.parametrize("page", ["/breaks", "/breaks-and-changes"])
def test_an_interrupted_transfer_is_resumed_unless_the_file_has_changed(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)
    ASKED.clear()
    output: list[str] = []
    download.fetch(server + page, tmp_path / "x", gigabytes=1, log=output.append)
    assert (tmp_path / "x").read_bytes() == PAGES["/songs.zip"]
    assert len(ASKED) == 2
    half = len(PAGES["/songs.zip"]) // 2
    assert (ASKED[1]["Range"], ASKED[1]["If-Range"]) == (f"bytes={half}-", '"1"')
    assert output == ["the transfer was interrupted after 0 MB, resuming"]


def test_without_a_validator_nothing_is_resumed(server: str, tmp_path: Path) -> None:
    ASKED.clear()
    with pytest.raises(GenreError, match=r"cannot be downloaded .* try again"):
        download.fetch(f"{server}/breaks-for-good", tmp_path / "x", gigabytes=1)
    assert len(ASKED) == 1


def test_a_password_in_a_url_is_used_and_neither_shown_nor_logged(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    output: list[str] = []
    private = f"http://ann:p%40ss@{server.partition('://')[2]}/private"
    assert len(add(private, tmp_path, log=output.append).added) == 2
    with pytest.raises(CollectionError, match="responded with 401") as caught:
        add(private.replace("p%40ss", "p%40sss"), tmp_path, log=output.append)
    assert "p%40ss" not in " ".join([*output, caplog.text, str(caught.value)])


def test_the_body_of_a_redirect_is_not_read(server: str, tmp_path: Path) -> None:
    with memory.bounded(50):
        download.fetch(f"{server}/moved-and-long", tmp_path / "x", gigabytes=1)
    assert (tmp_path / "x").read_bytes() == PAGES["/songs.zip"]


def test_passwords_and_keys_in_a_url_are_redacted() -> None:
    shown = download.shown("https://me:secret@example.org:81/music/songs.zip?key=1#part")
    assert shown == "https://example.org:81/music/songs.zip"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/music/songs.zip?x=1", "songs.zip"),
        ("http://h/..", "archive"),
        ("http://h/", "archive"),
        ("http://h/a%2Fb\x1b.zip", "a_2Fb_.zip"),
    ],
)
def test_a_downloaded_file_gets_a_safe_name(url: str, name: str) -> None:
    assert download.file_name(url) == name
