"""Archives of songs: fetched from a URL, checked against a sha256, unpacked without trust.

What an archive is, is told by its content: zip, tar, or tar compressed by gzip, bzip2 or xz. Its
entries must be plain files and folders that stay inside it: names that are absolute or climb out,
links and devices are refused, and `Limits` bound what it may unpack to, whatever its headers say.
Unpacking takes little memory whatever the archive, but for the directory of a zip, which is read
whole. Every refusal raises `CollectionError`; what was already unpacked is the caller's to remove.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from genre.decompression import decompressed, open_entry
from genre.errors import CollectionError, GenreError
from genre.files import NO_ROOM

BLOCK_BYTES = 1 << 20
GIGABYTE = 10**9
DEFAULT_GIGABYTES = 100.0  # unpacked, or downloaded
MOST_FILES = 200_000
MOST_RATIO = 200  # unpacked bytes for each byte of the archive; audio stays near 1
RATIO_FREE_BYTES = 64 * 10**6  # up to which the ratio does not matter
HEADER_BYTES = 1 << 16  # before one entry of a tar; tarfile keeps them, many times over
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,  # of a number or a name, for which neither library has an error of its own
    OverflowError,
)


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold: bytes in GB (10**9), files, unpacked bytes a packed byte."""

    gigabytes: float = DEFAULT_GIGABYTES
    files: int = MOST_FILES
    ratio: float = MOST_RATIO


class Meter:
    """Counts what comes out of one archive, and refuses more than its `Limits` allow."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.name, self.limits = archive.name, limits
        self._packed = max(archive.stat().st_size, 1)
        self._bytes = self._files = 0

    def add_bytes(self, count: int) -> None:
        """Count `count` unpacked bytes, before they are kept."""
        self._bytes += count
        if self._bytes > self.limits.gigabytes * GIGABYTE:
            raise CollectionError(
                f"{self.name}: unpacks to more than {self.limits.gigabytes:g} GB; "
                "allow more with --max-gigabytes if you trust it"
            )
        if self._bytes > max(RATIO_FREE_BYTES, self.limits.ratio * self._packed):
            raise CollectionError(
                f"{self.name}: unpacks to more than {self.limits.ratio:g} times its size, as a "
                "decompression bomb does; unpack it yourself and add the folder if you trust it"
            )

    def add_file(self) -> None:
        """Count one entry."""
        self._files += 1
        if self._files > self.limits.files:
            raise CollectionError(f"{self.name}: holds more than {self.limits.files} entries")


def is_archive(path: Path) -> bool:
    """Whether the file at `path` is a zip or tar archive, by its content."""
    return _is_zip(path) or _is_tar(path)


def check_sha256(path: Path, expected: str) -> None:
    """Raise `CollectionError` unless the file has the sha256 `expected` (64 hex digits)."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != checked_digest(expected):
        raise CollectionError(f"{path.name}: found sha256 {found}, expected {expected}")


def checked_digest(text: str) -> str:
    """`text` in lower case; raises `CollectionError` where it is not a sha256."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise CollectionError(f"--sha256 is {text!r}: expected 64 hexadecimal digits")
    return text.lower()


def unpack(archive: Path, folder: Path, limits: Limits) -> None:
    """Unpack `archive` into the empty folder `folder`."""
    meter = Meter(archive, limits)
    try:
        if _is_zip(archive):
            _unpack_zip(archive, folder, meter)
        else:
            _unpack_tar(archive, folder, meter)
    except BROKEN as error:
        raise CollectionError(f"{archive.name}: is damaged ({error}); fetch it again") from error
    except (NotImplementedError, RuntimeError) as error:  # another method; encrypted; nested
        raise CollectionError(f"{archive.name}: cannot be unpacked ({error})") from error
    except OSError as error:
        if error.errno in NO_ROOM:  # told by who changes the collection
            raise
        kind = GenreError if error.errno == errno.EIO else CollectionError
        raise kind(f"{archive.name}: cannot be unpacked ({error})") from error


def _unpack_zip(archive: Path, folder: Path, meter: Meter) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            meter.add_file()
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise CollectionError(f"{archive.name}: {_refusal(entry.filename)} is a link")
            # Some programs for Windows write the separator of their own system.
            target = _target(archive, entry.filename.replace("\\", "/"), folder)
            if entry.filename.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
            else:
                with open_entry(packed, entry, archive.name) as content:
                    _write(content, target, archive, meter)


def _unpack_tar(archive: Path, folder: Path, meter: Meter) -> None:
    with archive.open("rb") as file, decompressed(file, archive.name) as content:
        # As a stream: headers too are metered, and nothing is read ahead of the meter.
        metered = _MeteredStream(content, Meter(archive, meter.limits))
        with _open_tar(metered) as packed:
            while (entry := _next(packed, metered)) is not None:
                meter.add_file()
                if not (entry.isfile() or entry.isdir()):
                    raise CollectionError(
                        f"{archive.name}: {_refusal(entry.name)} is a link or a device"
                    )
                target = _target(archive, entry.name, folder)
                if entry.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    source = packed.extractfile(entry)
                    assert source is not None  # a plain file has content
                    _write(source, target, archive, meter)
        while metered.read(BLOCK_BYTES):  # to the checksum, which comes last
            pass


def _open_tar(metered: _MeteredStream) -> tarfile.TarFile:
    with metered.headers():  # reads the first one
        return tarfile.open(fileobj=metered, mode="r|")


def _next(packed: tarfile.TarFile, metered: _MeteredStream) -> tarfile.TarInfo | None:
    """The next entry. What tarfile would keep of those before is dropped, as they may be many."""
    packed.members.clear()  # type: ignore[attr-defined]
    packed.pax_headers = {}
    with metered.headers():
        return packed.next()


class _MeteredStream(io.RawIOBase):
    """The reading end of a file whose bytes are counted."""

    def __init__(self, file: IO[bytes], meter: Meter) -> None:
        super().__init__()
        self._file, self._meter = file, meter
        self._header_bytes: int | None = None

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        content = self._file.read(size)
        self._meter.add_bytes(len(content))
        if self._header_bytes is not None:
            # The end counts too: tarfile looks beyond it for as long as a header says.
            self._header_bytes += max(len(content), tarfile.BLOCKSIZE)
            if self._header_bytes > HEADER_BYTES:
                raise CollectionError(
                    f"{self._meter.name}: has more than {HEADER_BYTES >> 10} KiB of headers before "
                    "an entry, as no usual one does; unpack it yourself and add the folder if you "
                    "trust it"
                )
        return content

    @contextmanager
    def headers(self) -> Iterator[None]:
        """Within, at most `HEADER_BYTES` can be read, beside what tarfile has read ahead."""
        self._header_bytes = 0
        yield
        self._header_bytes = None


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # one of several parts
        return True


def _is_tar(path: Path) -> bool:
    try:
        with path.open("rb") as file, decompressed(file, path.name) as content:
            metered = _MeteredStream(content, Meter(path, Limits()))
            with _open_tar(metered) as packed:
                return packed.next() is not None
    except (*BROKEN, OSError, RecursionError):
        return False


def _target(archive: Path, name: str, folder: Path) -> Path:
    """Where the entry called `name` goes; raises `CollectionError` where that is outside."""
    parts = PurePosixPath(name).parts
    if not parts:
        raise CollectionError(f"{archive.name}: {_refusal(name)} has no name")
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:[/\\]", name):
        raise CollectionError(f"{archive.name}: {_refusal(name)} would land outside the target")
    return folder.joinpath(*parts)


def _refusal(name: str) -> str:
    return f"refused, nothing was added: entry {name!r}"


def _write(source: IO[bytes], target: Path, archive: Path, meter: Meter) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as written:
            while block := source.read(BLOCK_BYTES):
                meter.add_bytes(len(block))
                written.write(block)
    except FileExistsError as error:
        name = target.name
        raise CollectionError(f"{archive.name}: holds two entries called {name!r}") from error
