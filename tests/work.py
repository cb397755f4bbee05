"""Work for the tests of `genre.core.compute`: must be importable by worker processes."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import signal
import time
from pathlib import Path

from genre.collection import catalogue
from genre.core.errors import AudioError


def read(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def shout(source: Path | bytes, content: str) -> bytes:
    """Return the file in capitals; refuse, crash or hang if the file says so."""
    text = read(source).decode()
    if hashlib.sha256(text.encode()).hexdigest() != content:
        raise AudioError("has changed")
    if text == "refuse":
        raise AudioError("was refused")
    if text == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "hang":
        time.sleep(600)
    if text == "bug":
        raise ZeroDivisionError("a bug")
    if text == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if text == "big":
        raise MemoryError
    return text.upper().encode()


def slowly(source: Path | bytes, content: str) -> bytes:
    """As `shout`, in a third of a second; with the process id."""
    del content
    time.sleep(0.3)
    return read(source) + f" {os.getpid()}".encode()


def linger(source: Path | bytes, content: str) -> bytes:
    """Write the process id to the file, and never return."""
    del content
    assert isinstance(source, Path)
    source.write_text(str(os.getpid()))
    time.sleep(600)
    return b""


def crash_on_some(source: Path | bytes, content: str, **limits: float) -> bytes:
    """`scan_song` with a decoder that crashes on certain files."""
    match read(source):
        case b"segfault":
            ctypes.string_at(0)
        case b"abort":
            os.abort()
        case b"exit":
            os._exit(3)
        case b"hang":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            time.sleep(600)
    return catalogue.scan_song(source, content, **limits)


def break_on(
    source: Path | bytes, content: str, *, names: tuple[str, ...] | None, **limits: float
) -> bytes:
    """`scan_song` with a defect for songs of these names, or all."""
    assert isinstance(source, Path)
    if names is None or source.name in names:
        raise ZeroDivisionError("a bug")
    return catalogue.scan_song(source, content, **limits)


def threads(source: Path | bytes, content: str) -> bytes:
    """How many threads numerical libraries may use here."""
    del source, content
    import numba

    return f"{os.environ['OMP_NUM_THREADS']} {numba.config.NUMBA_NUM_THREADS}".encode()
