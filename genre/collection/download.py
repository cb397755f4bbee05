"""Download an archive from an http(s) URL: bounded in size, resumed after interruptions."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from genre import __version__
from genre.collection.archives import GIGABYTE
from genre.core.errors import CollectionError, GenreError
from genre.core.urls import redact

HEADERS = {"User-Agent": f"music-genre-pipeline/{__version__}", "Accept-Encoding": "identity"}
TIMEOUT_SECONDS = 30.0  # to connect, and before each piece
RESUMES = 5
PAUSE_SECONDS = 2.0  # before resuming
REPORT_SECONDS = 5.0
MAX_REDIRECTS = 10
MAX_NAME = 100  # characters of a file name
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # status codes that may pass
logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs URLs with passwords


def fetch(
    url: str,
    target: Path,
    *,
    gigabytes: float,
    log: Callable[[str], None] = print,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Download `url` to `target`, at most `gigabytes` (10**9 bytes).

    An interrupted transfer is resumed if the server supports it and the file has not changed
    (`ETag` or `Last-Modified`). Raises `CollectionError` for permanent errors (not found, too
    large, a refused redirect) and `GenreError` for temporary ones.
    """
    resume: dict[str, str] = {}
    try:
        with httpx.Client(headers=HEADERS, timeout=timeout) as client, target.open("wb") as file:
            for left in reversed(range(RESUMES + 1)):
                try:
                    with _opened(client, url, resume) as response:
                        resume = resume if _is_rest(response, file) else _resume(response)
                        _receive(response, file, shown(url), gigabytes, log)
                    return
                except httpx.TransportError:
                    if not left or not resume:
                        raise
                    log(f"the transfer was interrupted after {file.tell() / 1e6:.0f} MB, resuming")
                    time.sleep(PAUSE_SECONDS)
                    resume["Range"] = f"bytes={file.tell()}-"
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):  # their messages may hold the password
        raise CollectionError(f"{shown(url)}: not an address that can be opened") from None
    except httpx.TransportError as error:
        what = str(error) or type(error).__name__
        raise GenreError(f"{shown(url)}: cannot be downloaded ({what}); try again") from error


def shown(url: str) -> str:
    """Return `url` without user, password and query."""
    try:
        parts = urlsplit(redact(url))
    except ValueError:
        return "the address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_name(url: str) -> str:
    """Return a safe file name for the file at `url`."""
    name = re.sub(r"[^\w.-]", "_", shown(url).rpartition("/")[2])
    return name[-MAX_NAME:].strip(".") or "archive"


@contextlib.contextmanager
def _opened(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Yield the response for `url`, after redirects to http(s), but not from https to http."""
    request = client.build_request("GET", url, headers=headers)
    for _ in range(MAX_REDIRECTS):
        # Not by httpx, which would read the whole body of a redirect.
        with contextlib.closing(client.send(request, stream=True)) as response:
            if response.next_request is None:
                yield response
                return
        old, request = request, response.next_request
        allowed = ("https",) if old.url.scheme == "https" else ("http", "https")
        if request.url.scheme not in allowed:
            raise CollectionError(
                f"{shown(str(old.url))}: redirects to {shown(str(request.url))}, which is refused; "
                "give that address yourself if you trust it"
            )
    raise CollectionError(f"{shown(url)}: redirects more than {MAX_REDIRECTS} times")


def _is_rest(response: httpx.Response, file: BinaryIO) -> bool:
    """Whether the server sends the rest of `file`; if it sends all, empty the file."""
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {file.tell()}-")
    if response.status_code == httpx.codes.PARTIAL_CONTENT and begins:
        return True
    if response.status_code != httpx.codes.OK:
        kind = GenreError if response.status_code in TEMPORARY else CollectionError
        status = f"{response.status_code} {response.reason_phrase}"
        raise kind(f"{shown(str(response.url))}: the server responded with {status}")
    file.seek(0)
    file.truncate()
    return False


def _resume(response: httpx.Response) -> dict[str, str]:
    """The `If-Range` header for resuming; empty if the server sent no validator."""
    tag = response.headers.get("ETag", "")
    same = response.headers.get("Last-Modified") if tag.startswith("W/") or not tag else tag
    return {"If-Range": same} if same else {}


def _receive(
    response: httpx.Response,
    file: BinaryIO,
    name: str,
    gigabytes: float,
    log: Callable[[str], None],
) -> None:
    announced = response.headers.get("Content-Length", "")
    total = file.tell() + int(announced) if announced.isdigit() else 0
    last = time.monotonic()
    for block in response.iter_raw():
        if max(total, file.tell() + len(block)) > gigabytes * GIGABYTE:
            raise CollectionError(
                f"{name}: is larger than {gigabytes:g} GB; allow more with --max-gigabytes"
            )
        file.write(block)
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            of = f" of {total / 1e6:.0f}" if total else ""
            log(f"downloading: {file.tell() / 1e6:.0f}{of} MB")
