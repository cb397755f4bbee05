"""Decode audio by libsndfile, or by FFmpeg (PyAV) what libsndfile cannot read.

libsndfile reads WAV, FLAC, MP3, Ogg Vorbis, Opus, AU and AIFF; FFmpeg reads the rest (M4A/AAC and
many more). Samples are float32, shape=(n, channels), full scale -1 to 1.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from genre.core.errors import AudioError

Samples = npt.NDArray[np.float32]

BLOCK_SECONDS = 60  # in memory at once while a song is decoded
BLOCK_SAMPLES = 2 * 192_000 * BLOCK_SECONDS  # of all channels, whatever the header says
# The formats that FFmpeg may open: not playlists, captures and network formats, which read other
# files or open sockets.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,m4a,matroska,mp3,mp4,mpc,mpc8,"
    "mpeg,mpegts,ogg,oma,rm,shn,tak,tta,voc,w64,wav,webm,wsd,wv"
)


class Stream:
    """Decodes a song block by block; a context manager.

    `sample_rate` in Hz, `channels`, `codec` as the decoder names it, `tags`; `frames` is the length
    in samples by the header, or None. `blocks()` can be read once.
    """

    def __init__(self, source: Path | bytes) -> None:
        """Open `source`, a file's path or its content.

        Raises `AudioError` if the file is missing, empty or not audio.
        """
        self.name = str(source) if isinstance(source, Path) else "the audio"
        if isinstance(source, Path):
            try:
                empty = source.stat().st_size == 0
            except OSError as error:
                raise AudioError(f"cannot be opened ({error.strerror})") from error
        else:
            empty = not source
        if empty:
            raise AudioError("is empty (0 bytes)")
        self._decoder: _SoundFile | _Av
        try:
            self._decoder = _SoundFile(source)
        except _NotForThisDecoder:
            self._decoder = _Av(source)
        self.sample_rate = self._decoder.sample_rate
        self.channels = self._decoder.channels
        self.frames = self._decoder.frames
        self.codec = self._decoder.codec
        self.tags = self._decoder.tags

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._decoder.close()

    def blocks(self, seconds: float = BLOCK_SECONDS) -> Iterator[Samples]:
        """Yield the samples, about `seconds` at a time: float32, shape=(m, channels).

        Raises `AudioError` if the rest cannot be decoded.
        """
        most = BLOCK_SAMPLES // self.channels
        yield from self._decoder.blocks(max(1, min(most, round(seconds * self.sample_rate))))


class _NotForThisDecoder(Exception):
    """The decoder does not support this content; another may."""


class _SoundFile:
    """libsndfile."""

    def __init__(self, source: Path | bytes) -> None:
        import soundfile

        # Not the path: libsndfile would detect the format from the suffix first.
        opened: Any = io.BytesIO(source) if isinstance(source, bytes) else _open(source)
        try:
            self._file = soundfile.SoundFile(opened)
        except (soundfile.SoundFileError, TypeError, ValueError) as error:
            raise _NotForThisDecoder from error  # libsndfile has closed the descriptor
        self.sample_rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.frames: int | None = int(self._file.frames)
        self.codec = f"{self._file.format}/{self._file.subtype}"
        self.tags = {
            key: value.strip()
            for key, value in self._file.copy_metadata().items()
            if key in ("title", "artist") and value.strip()
        }

    def close(self) -> None:
        self._file.close()

    def blocks(self, size: int) -> Iterator[Samples]:
        import soundfile

        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise AudioError(f"cannot be decoded to its end ({error})") from error
            if not len(block):
                return
            yield block


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


class _Av:
    """FFmpeg's libraries."""

    def __init__(self, source: Path | bytes) -> None:
        import av

        av.logging.set_level(None)
        handle: Any = str(source) if isinstance(source, Path) else io.BytesIO(source)
        try:
            self._container = av.open(
                handle, container_options={"format_whitelist": FORMATS}, **_tag_options(av)
            )
        except (av.FFmpegError, ValueError, OSError) as error:
            raise AudioError("is not audio in any known format") from error
        try:
            if not self._container.streams.audio:
                raise AudioError("is not audio: it has no audio stream")
            stream = self._container.streams.audio[0]
            # A stream with an unknown codec has none of these.
            if stream.codec_context is None or not stream.sample_rate or not stream.channels:
                raise AudioError("is not audio in any known format")
        except AudioError:
            self._container.close()
            raise
        self._stream = stream
        self.sample_rate = int(stream.sample_rate)
        self.channels = int(stream.channels)
        self.frames: int | None = None
        self.codec = f"{self._container.format.name.split(',')[0].upper()}/{stream.name.upper()}"
        tags = {**self._container.metadata, **stream.metadata}
        self.tags = {
            key.lower(): _printable(value).strip()
            for key, value in tags.items()
            if key.lower() in ("title", "artist") and value.strip()
        }

    def close(self) -> None:
        self._container.close()

    def blocks(self, size: int) -> Iterator[Samples]:
        import av

        layout = self._stream.layout.name
        convert = av.AudioResampler(format="flt", layout=layout, rate=self.sample_rate)
        pending: list[Samples] = []
        count = 0
        try:
            for frame in self._container.decode(self._stream):
                if frame.sample_rate != self.sample_rate or frame.layout.name != layout:
                    raise AudioError("changes its sample rate or channels within the file")
                for part in convert.resample(frame):
                    samples = part.to_ndarray().reshape(-1, self.channels)
                    pending.append(samples.astype(np.float32, copy=False))
                    count += len(pending[-1])
                if count >= size:
                    yield np.concatenate(pending)
                    pending, count = [], 0
        except (av.FFmpegError, ValueError) as error:
            raise AudioError(f"cannot be decoded to its end ({error})") from error
        if pending:
            yield np.concatenate(pending)


def _tag_options(av: ModuleType) -> dict[str, Any]:
    """The options of `av.open` that decode tags which are not UTF-8 to surrogates.

    PyAV 19 always does; older versions raise `UnicodeDecodeError` by default.
    """
    version = int(av.__version__.partition(".")[0])
    return {"metadata_errors": "surrogateescape"} if version < 19 else {}


def _printable(tag: str) -> str:
    """Replace bytes that are not UTF-8 by U+FFFD."""
    return tag.encode(errors="surrogateescape").decode(errors="replace")
