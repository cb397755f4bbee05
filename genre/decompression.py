"""Decompress bzip2, LZMA and xz in memory that does not grow with what comes out.

`zipfile` reads bzip2 and LZMA without a bound: 400 bytes become 400 MB at one read. LZMA and xz
keep a dictionary, as large as their header asks for (up to 4 GB), which no reader of the standard
library limits. The readers here bound both. gzip, deflate and `bz2.open` need no help.
"""

from __future__ import annotations

import bz2
import copy
import gzip
import io
import lzma
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from genre.errors import CollectionError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PACKED_BYTES = 1 << 16  # read at once
LZMA_MEMORY = 300 * 10**6  # bytes; the largest dictionary of 7-Zip's levels takes 256 MiB
LZMA_PROPERTIES = 5  # bytes of them in a zip, after two of version and two of length
LENGTH_UNKNOWN = b"\xff" * 8
XZ_START = b"\xfd7zXZ\x00"
Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


def decompressed(file: BinaryIO, name: str) -> IO[bytes]:
    """What is in `file`, or itself where its content is of no compression that a tar has.

    `name` is the archive's, for messages.
    """
    start = file.read(len(XZ_START))
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(file))
    if start.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(file))
    if start == XZ_START:
        return io.BufferedReader(_Unpacked(file, _new_xz(), name), PACKED_BYTES)
    return file


def open_entry(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> IO[bytes]:
    """The reading end of one entry of `packed`; `name` as above.

    Raises what `ZipFile.open` raises: `NotImplementedError` for another compression,
    `RuntimeError` for encryption. Reading raises what its reader raises.
    """
    if entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return packed.open(entry)
    if entry.compress_type not in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        raise NotImplementedError(f"compression type {entry.compress_type}")
    as_packed = copy.copy(entry)  # as if stored, so that its reader gives the packed bytes
    as_packed.compress_type, as_packed.file_size = zipfile.ZIP_STORED, entry.compress_size
    del as_packed.CRC  # which is of the unpacked bytes
    file = packed.open(as_packed)
    if entry.compress_type == zipfile.ZIP_BZIP2:
        content = _Unpacked(file, bz2.BZ2Decompressor(), name)
    else:
        file.read(4)
        # As a bare .lzma file begins: raw LZMA, as `zipfile` reads it, takes no limit of memory.
        start = file.read(LZMA_PROPERTIES) + LENGTH_UNKNOWN
        bare = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY)
        content = _Unpacked(file, bare, name, start)
    return io.BufferedReader(_Entry(content, entry), PACKED_BYTES)


def _new_xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)


class _Unpacked(io.RawIOBase):
    """What is in a compressed file. Several xz streams in a row are one; what follows is not."""

    def __init__(
        self, file: IO[bytes], decompressor: Decompressor, name: str, start: bytes = b""
    ) -> None:
        super().__init__()
        self._file, self._decompressor, self._name, self._start = file, decompressor, name, start

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` with what comes next; returns how many bytes, 0 at the end."""
        view = memoryview(buffer)
        content = b""
        while len(view) and not content:
            if self._decompressor.eof and not self._next_stream():
                break
            content = self._decompress(len(view))
        view[: len(content)] = content
        return len(content)

    def _next_stream(self) -> bool:
        """Begin the next xz stream, if one follows."""
        rest = self._decompressor.unused_data + self._file.read(PACKED_BYTES)
        rest = rest.lstrip(b"\0")  # padding
        if not rest.startswith(XZ_START):
            return False
        self._decompressor, self._start = _new_xz(), rest
        return True

    def _decompress(self, size: int) -> bytes:
        packed = b""
        if self._decompressor.needs_input:
            packed, self._start = self._start or self._file.read(PACKED_BYTES), b""
            if not packed:
                raise EOFError("it ends too early")
        try:
            return self._decompressor.decompress(packed, size)
        except lzma.LZMAError as error:
            if "limit" not in str(error):  # the only sign of which error it is
                raise
            raise CollectionError(
                f"{self._name}: needs more than {LZMA_MEMORY / 1e6:.0f} MB of memory to unpack, "
                "as no usual one does; unpack it yourself and add the folder if you trust it"
            ) from error


class _Entry(io.RawIOBase):
    """What is in one entry of a zip, held to the size and the CRC-32 that the archive gives."""

    def __init__(self, content: _Unpacked, entry: zipfile.ZipInfo) -> None:
        super().__init__()
        self._content, self._entry = content, entry
        self._left, self._checksum = entry.file_size, 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._content.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` with what comes next; returns how many bytes, 0 at the end."""
        view = memoryview(buffer)[: self._left]
        count = self._content.readinto(view)
        self._left -= count
        self._checksum = zlib.crc32(view[:count], self._checksum)
        if len(view) and not count:
            raise EOFError("it ends too early")
        if not self._left and self._checksum != self._entry.CRC:
            raise zipfile.BadZipFile(f"bad CRC-32 for {self._entry.filename!r}")
        return count
