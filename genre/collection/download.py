"""Fetch an archive from an http(s) URL into a file, bounded in size and in patience."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from functools import partial
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    InvalidURL,
)
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from genre import __version__
from genre.archives import GIGABYTE, checked_digest
from genre.errors import CollectionError, GenreError
from genre.files import NO_ROOM

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0  # of silence: until there is a connection, and before each piece
PACE_SECONDS = 60.0  # of waiting, in which at least so many bytes must come:
PACE_BYTES = 60_000
REPORT_SECONDS = 5.0
LONGEST_NAME = 100  # characters of a file name that is kept
PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers of a server that may be another tomorrow


def is_url(source: str) -> bool:
    """Whether `source` is an http or https address."""
    return source.lower().startswith(("http://", "https://"))


def fetch(
    url: str,
    target: Path,
    *,
    gigabytes: float,
    sha256: str | None = None,
    say: Callable[[str], None] = print,
    timeout: float = TIMEOUT_SECONDS,
) -> None:
    """Write what is at `url` to `target`, at most `gigabytes` (10**9 bytes).

    Raises `CollectionError` for what will not get better (no such page, too large, another
    sha256) and `GenreError` for what may pass (no connection, a broken transfer, a server that
    falls silent for `timeout` seconds or sends less than `PACE_BYTES` in `PACE_SECONDS`).
    """
    expected = checked_digest(sha256) if sha256 else None
    name = shown(url)
    try:
        request = _request(url)
        with _opener().open(request, timeout=timeout) as response, target.open("wb") as file:
            found = _receive(response, file, name, gigabytes, say)
    except urllib.error.HTTPError as error:
        kind = GenreError if error.code in PASSING else CollectionError
        raise kind(f"{name}: the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise GenreError(f"{name}: cannot be reached ({error.reason}); try again") from error
    except (ValueError, InvalidURL):  # their words, and the traceback's, hold the address
        raise CollectionError(f"{name}: not an address that can be opened") from None
    except (HTTPException, OSError) as error:
        if getattr(error, "errno", None) in NO_ROOM:  # not the server's fault
            raise
        what = str(error) or type(error).__name__
        raise GenreError(f"{name}: the transfer broke off ({what}); try again") from error
    if expected and found != expected:
        raise CollectionError(f"{name}: found sha256 {found}, expected {expected}")


def _request(url: str) -> urllib.request.Request:
    """The request for `url`; its user and password go to its own server alone, as HTTP's Basic."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": f"music-genre-pipeline/{__version__}"}
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)
    if at:
        words = base64.b64encode(unquote_to_bytes(user)).decode()
        request.add_unredirected_header("Authorization", f"Basic {words}")
    return request


def shown(url: str) -> str:
    """`url` as it may be shown: without a password and without its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_name(url: str) -> str:
    """A safe name for the file at `url`, as near to its own as can be."""
    return (
        re.sub(r"[^\w.-]", "_", shown(url).rpartition("/")[2])[-LONGEST_NAME:].strip(".")
        or "archive"
    )


def _receive(
    response: HTTPResponse, file: IO[bytes], name: str, gigabytes: float, say: Callable[[str], None]
) -> str:
    """Copy the answer to `file`; returns its sha256."""
    announced = response.headers.get("Content-Length")
    total = int(announced) if announced and announced.isdigit() else None
    most = gigabytes * GIGABYTE
    too_large = f"{name}: is larger than {gigabytes:g} GB; allow more with --max-gigabytes"
    if total is not None and total > most:
        raise CollectionError(too_large)
    digest = hashlib.sha256()
    received = 0
    last = time.monotonic()
    while block := response.read(BLOCK_BYTES):
        received += len(block)
        if received > most:
            raise CollectionError(too_large)
        digest.update(block)
        file.write(block)
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            of = f" of {total / 1e6:.0f}" if total else ""
            say(f"downloading: {received / 1e6:.0f}{of} MB")
    if total is not None and received != total:
        raise GenreError(
            f"{name}: the transfer broke off after {received} of {total} bytes; try again"
        )
    return digest.hexdigest()


class _Paced(io.RawIOBase):
    """What a server sends, refused where it trickles.

    A socket's timeout begins anew with each byte. Only waiting counts, not what is done between.
    """

    def __init__(self, sent: io.RawIOBase) -> None:
        super().__init__()
        self._sent, self._bytes, self._waited = sent, 0, 0.0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._sent.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Fill `buffer` with what is there; `TimeoutError` where too little has come of late."""
        start = time.monotonic()
        count = self._sent.readinto(buffer)
        self._waited += time.monotonic() - start
        self._bytes += count or 0
        if count and self._waited >= PACE_SECONDS:  # not at the end
            if self._bytes < PACE_BYTES:
                raise TimeoutError(
                    f"only {self._bytes} bytes came in {self._waited:.0f} s, expected "
                    f"{PACE_BYTES} or more"
                )
            self._bytes, self._waited = 0, 0.0
        return count


class _PacedResponse(HTTPResponse):
    """An answer of which the headers too may not trickle."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp = io.BufferedReader(_Paced(self.fp.detach()))


def _connection(kind: type[HTTPConnection], host: str, **options: Any) -> HTTPConnection:
    made = kind(host, **options)
    made.response_class = _PacedResponse
    return made


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPConnection), req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(partial(_connection, HTTPSConnection), req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http(s) only, and never from https down to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        fp.close()  # or what it sends beside the address would be read, however long
        secure = urlsplit(req.full_url).scheme == "https"
        if not is_url(newurl) or (secure and not newurl.lower().startswith("https://")):
            raise CollectionError(
                f"{shown(req.full_url)}: redirects to {shown(newurl)}, which is refused; "
                "give that address yourself if you trust it"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> urllib.request.OpenerDirector:
    """An opener of http and https, with the system's proxies, and of nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        _Http,
        _Https,
        urllib.request.HTTPDefaultErrorHandler,
        _Redirects,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
