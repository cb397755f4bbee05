"""Unpack untrusted zip and tar archives of songs.

The type (zip, tar, or tar compressed by gzip, bzip2 or xz) is detected from the content. `Limits`
count the bytes that are really unpacked, whatever the headers say. Only plain files and folders are
created, and only inside the target. Refusals raise `CollectionError`; the caller removes what was
unpacked before.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from genre.core.errors import CollectionError
from genre.core.files import DISK_FULL

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 1 << 20
GIGABYTE = 10**9
RATIO_FREE_BYTES = 64 * 10**6  # below this size the ratio is ignored
HEADER_BYTES = 1 << 16  # of tar headers before a member; tarfile keeps them in memory
XZ_MEMORY = 300 * 10**6  # bytes; the largest dictionary of usual programs takes 256 MiB
ZIP_MAGIC, GZIP_MAGIC, BZIP2_MAGIC, XZ_MAGIC = b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
# `zipfile` decompresses these without a limit on memory, or not at all.
REFUSED_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 99: "AES encryption"}
UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # encrypted, of an unknown version, or headers nested too deeply
    ValueError,  # in a number or a name
)
Member = tuple[str, IO[bytes] | None]  # name, and content (None: a folder)


@dataclass(frozen=True)
class Limits:
    """Limits of an archive: GB (10**9 bytes), files, and ratio of unpacked to packed bytes."""

    gigabytes: float = 100.0
    files: int = 200_000
    ratio: float = 200.0  # audio stays near 1


def unpack(archive: Path, folder: Path, limits: Limits) -> None:
    """Unpack `archive` into the empty folder `folder`.

    Raises `CollectionError` if it is not an archive, damaged, unsafe or beyond the limits, and
    `OSError` if the disk is full.
    """
    meter = _Meter(archive, limits)
    try:
        with archive.open("rb") as file:  # zipfile.is_zipfile also takes a tar that ends with a zip
            is_zip = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
        for number, (name, content) in enumerate(
            _zip_members(archive) if is_zip else _tar_members(archive, limits)
        ):
            if number == limits.files:
                raise CollectionError(f"{archive.name}: holds more than {limits.files} entries")
            parts = PurePosixPath(name).parts
            if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:[/\\]", name):
                raise _refusal(archive, name, "would land outside the target")
            target = folder.joinpath(*parts)
            (target.parent if content else target).mkdir(parents=True, exist_ok=True)
            if content and target.exists():
                raise _refusal(archive, name, "occurs twice")
            if content:
                with target.open("xb") as written:
                    while block := content.read(BLOCK_BYTES):
                        meter.add(len(block))
                        written.write(block)
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        raise CollectionError(
            f"{archive.name}: cannot be unpacked as zip, tar, tar.gz, tar.bz2 or tar.xz ({error}); "
            "download it again if it is damaged, or unpack it yourself and add the folder"
        ) from error


class _Meter:
    """Counts unpacked bytes; raises `CollectionError` beyond the limits."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self._name, self._limits = archive.name, limits
        self._packed, self._bytes = archive.stat().st_size, 0

    def add(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._limits.gigabytes * GIGABYTE:
            raise CollectionError(
                f"{self._name}: unpacks to more than {self._limits.gigabytes:g} GB; "
                "allow more with --max-gigabytes if you trust it"
            )
        if self._bytes > max(RATIO_FREE_BYTES, self._limits.ratio * self._packed):
            raise CollectionError(
                f"{self._name}: unpacks to more than {self._limits.ratio:g} times its size, as a "
                "decompression bomb does; unpack it yourself and add the folder if you trust it"
            )


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            name = member.filename.replace("\\", "/")  # as some Windows programs write
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(archive, name, "is a link or a device")
            if name.endswith("/"):
                yield name, None
                continue
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                method = REFUSED_METHODS.get(member.compress_type, str(member.compress_type))
                raise _refusal(
                    archive,
                    name,
                    f"is packed with {method}, and in a zip only Deflate, the usual method, can be "
                    "unpacked; pack the songs as zip or tar.gz with the default settings, or "
                    "unpack it yourself and add the folder",
                )
            with packed.open(member) as content:
                yield name, content


def _tar_members(archive: Path, limits: Limits) -> Iterator[Member]:
    with archive.open("rb") as file, _decompressed(file) as unpacked:
        stream = _TarStream(unpacked, _Meter(archive, limits))
        with tarfile.open(fileobj=stream, mode="r:") as packed:
            while (member := packed.next()) is not None:
                if not (member.isfile() or member.isdir()):
                    raise _refusal(archive, member.name, "is a link or a device")
                stream.allowed = member.size
                yield member.name, packed.extractfile(member)
                packed.members, packed.pax_headers = [], {}  # type: ignore[attr-defined]
                stream.allowed = HEADER_BYTES
        stream.finish()


class _TarStream(io.RawIOBase):
    """A tar as `tarfile` reads it: forwards only, metered, with limited headers.

    At most `allowed` bytes can be read before it is set again; skipped bytes do not count.
    """

    def __init__(self, file: IO[bytes], meter: _Meter) -> None:
        super().__init__()
        self._file, self._meter, self._position = file, meter, 0
        self.allowed = HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        """Read exactly `size` bytes."""
        if not 0 <= size <= self.allowed:
            raise tarfile.ReadError(f"more than {HEADER_BYTES >> 10} KiB of headers before a file")
        self.allowed -= size
        return self._take(size)

    def seek(self, offset: int, _whence: int = io.SEEK_SET) -> int:
        """Skip to `offset`."""
        if offset < self._position:
            raise tarfile.ReadError("a header points backwards")
        while offset > self._position:
            self._take(min(offset - self._position, BLOCK_BYTES))
        return offset

    def tell(self) -> int:
        """Return how many bytes were read or skipped."""
        return self._position

    def finish(self) -> None:
        """Read what follows the last member: zeros, and the checksum of a compressed tar."""
        while rest := self._file.read(BLOCK_BYTES):
            self._meter.add(len(rest))
            if rest.strip(b"\0"):  # tarfile treats a damaged header as the end
                raise tarfile.ReadError("a header is damaged")

    def _take(self, size: int) -> bytes:
        content = self._file.read(size)
        self._meter.add(len(content))
        self._position += len(content)
        if len(content) < size:
            raise EOFError("it ends too early")
        return content


def _decompressed(file: BinaryIO) -> IO[bytes]:
    """Return a decompressing stream of `file`, or `file` itself if it is not compressed."""
    start = file.read(len(XZ_MAGIC))
    file.seek(0)
    if start.startswith(GZIP_MAGIC):
        return cast(IO[bytes], gzip.open(file))
    if start.startswith(BZIP2_MAGIC):
        return cast(IO[bytes], bz2.open(file))
    return io.BufferedReader(_XzStream(file)) if start == XZ_MAGIC else file


class _XzStream(io.RawIOBase):
    """Decompresses xz with limited memory; by `lzma.open` a header may request 4 GB."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` with the next bytes; return how many, 0 at the end."""
        view = memoryview(buffer)
        content = b""
        while not content:
            packed = b""
            if self._decompressor.eof:  # another stream may follow, after zeros
                packed = self._decompressor.unused_data + self._file.read(BLOCK_BYTES)
                if not (packed := packed.lstrip(b"\0")):
                    return 0
                self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
            elif self._decompressor.needs_input and not (packed := self._file.read(BLOCK_BYTES)):
                raise EOFError("it ends too early")
            content = self._decompressor.decompress(packed, len(view))
        view[: len(content)] = content
        return len(content)


def _refusal(archive: Path, name: str, reason: str) -> CollectionError:
    return CollectionError(f"{archive.name}: refused, nothing was added: {name!r} {reason}")
