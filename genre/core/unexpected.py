"""Unexpected exceptions: one line on stderr, the traceback in a log.

An exception that is not a `GenreError` is a defect of the program or the machine. Its traceback is
appended to `.services/errors.log` of the project, else to a file in the system's temporary folder,
with the time, the command line and the versions; URLs are redacted.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import select
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ParamSpec

from genre import __version__
from genre.core.errors import GenreError, InputError, UnexpectedError
from genre.core.urls import redact

LOG = Path(".services/errors.log")  # below the project's folder
MAX_LOG_BYTES = 1 << 20  # then it becomes errors.log.1
MAX_ENTRY_BYTES = 1 << 16
MAX_MESSAGE = 300  # characters
MEMORY_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")  # differs between runs
FAILED, BAD_INPUT, PIPE_CLOSED = 1, 2, 141  # exit codes; 141 as of a program that SIGPIPE ended

P = ParamSpec("P")


@dataclass(frozen=True)
class Defect:
    """An unexpected exception as text, which can be sent between processes."""

    what: str  # `KeyError: 'x'`
    kind: str  # `KeyError`
    place: str  # `genre/foo.py:12`: the innermost line of this program
    traceback: str
    advice: str  # empty if the machine may be to blame


def describe(error: BaseException) -> Defect:
    """Describe an exception as text."""
    kind = type(error).__name__
    message = _plain(str(error)).rstrip(".")
    return Defect(
        what=f"{kind}: {message}" if message else kind,
        kind=kind,
        place=_place(error),
        traceback="".join(traceback.format_exception(error)),
        advice="" if isinstance(error, OSError | MemoryError) else "This is a defect",
    )


def as_error(defect: Defect | BaseException) -> GenreError:
    """Log the traceback of an unexpected exception and return a one-line error for it.

    A `GenreError` is returned unchanged.
    """
    if isinstance(defect, GenreError):
        return defect
    if isinstance(defect, BaseException):
        defect = describe(defect)
    return UnexpectedError(
        f"unexpected {defect.what} in {defect.place}. {log_hint(defect, log(defect))}"
    )


def log_hint(defect: Defect, path: Path | None) -> str:
    """Say where the traceback of `defect` is."""
    details = f"the details are in {path}" if path else "its log could not be written"
    return f"{defect.advice}; {details}" if defect.advice else details[0].upper() + details[1:]


def log(defect: Defect) -> Path | None:
    """Append `defect` to the log; return its path, or None if no log can be written."""
    entry = (
        f"{datetime.now().astimezone().isoformat(timespec='seconds')} {' '.join(sys.argv)}\n"
        f"music-genre-pipeline {__version__}, Python {platform.python_version()}, process "
        f"{os.getpid()}\n{defect.traceback}\n"
    )
    content = redact(entry).encode(errors="backslashreplace")[-MAX_ENTRY_BYTES:]
    for path in _log_paths():
        with suppress(OSError):
            _append(path, content)
            return path
    return None


def print_error(error: Exception) -> int:
    """Print one line about an exception on stderr; return the exit code."""
    line = f"error: {as_error(error)}"
    with suppress(OSError, ValueError):  # the reader is gone
        print(line, file=sys.stderr, flush=True)
    return BAD_INPUT if isinstance(error, InputError) else FAILED


def one_line_errors(main: Callable[P, int]) -> Callable[P, int]:
    """Decorate a command's `main`: print exceptions as one line; end quietly if the pipe closed.

    A reader closes the pipe early in `genre models | head -1`.
    """

    @functools.wraps(main)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> int:
        try:
            try:
                return main(*arguments, **options)
            finally:
                sys.stdout.flush()
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_is_gone():
                return PIPE_CLOSED
            return print_error(error)

    return wrapped


def _reader_is_gone() -> bool:
    """Whether stdout or stderr is a closed pipe, which is then replaced by /dev/null."""
    gone = False
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # not a file
            poll = select.poll()
            poll.register(stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                gone = True
                with Path(os.devnull).open("w") as nowhere:
                    os.dup2(nowhere.fileno(), stream.fileno())
    return gone


def _plain(message: str) -> str:
    """`message` as one printable line, redacted, without memory addresses."""
    text = redact(MEMORY_ADDRESS.sub("0x…", " ".join(message.split())))
    text = text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _place(error: BaseException) -> str:
    """The innermost line of this project in the traceback, else the innermost line."""
    root = Path(__file__).parents[2]
    frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    for path, line in reversed(frames):
        if path.is_relative_to(root):
            below = path.relative_to(root)
            if not below.parts[0].startswith(".") and "site-packages" not in below.parts:
                return f"{below.as_posix()}:{line}"
    return f"{frames[-1][0].name}:{frames[-1][1]}" if frames else "an unknown place"


def _log_paths() -> list[Path]:
    """The possible paths of the log, the preferred one first."""
    project = Path(os.environ.get("DVC_ROOT", ""))  # in a DVC experiment: the checkout
    elsewhere = Path(tempfile.gettempdir(), f"genre-errors-{os.getuid()}.log")
    return [project / LOG, elsewhere] if (project / "params.yaml").is_file() else [elsewhere]


def _append(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        if path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    # Never through a link: everyone may write to the temporary folder.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    handle = os.open(path, flags, 0o600)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
