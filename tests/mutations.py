"""Damaged and hostile files, drawn from a seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
from songs import tone, write, write_m4a

SECONDS = 0.5
EXTREMES = {
    1: (0, 1, 0x7F, 0x80, 0xFF),
    2: (0, 1, 0x7FFF, 0x8000, 0xFFFF),
    4: (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    8: (0, 1, 2**63 - 1, 2**63, 2**64 - 1),
}
HEADER = 128  # bytes, the usual size of a header
NAMES = (
    "a\nnew line.wav",
    "a\ttab.wav",
    "\x1b[31mred.wav",
    "back\\slash.wav",
    "-rf.wav",
    "--help.wav",
    "$(touch pwned).wav",
    "%s%n%x.wav",
    "'; DROP TABLE songs; --.wav",
    "café.wav",  # one character, and two
    "cafe\u0301.wav",
    "\u202egnp.wav",  # from right to left
    "\u2028line.wav",
    "🎷🎺.wav",
    "日本語.wav",
    "..wav",
    "...wav",
    " .wav",
    "con.wav",
    "a" * 251 + ".wav",
    "no suffix",
    "\n.wav",
    "song.WAV",
    "song.mp3.exe",
    "..\\..\\up.wav",
)

NO_UTF8 = "\udcff\udcfe.wav"  # as Python calls bytes that are none


@dataclass(frozen=True)
class Mutation:
    """One hostile file: how it was made, the suffix it pretends, and its content."""

    kind: str
    suffix: str
    content: bytes


def originals(folder: Path) -> dict[str, bytes]:
    """A short song in every codec that the pipeline names, by suffix (and what is in it)."""
    y = tone(SECONDS, channels=2)
    made = {
        "wav": write(folder / "pcm16.wav", y),
        "pcm24.wav": write(folder / "pcm24.wav", y, subtype="PCM_24"),
        "float.wav": write(folder / "float.wav", y, subtype="FLOAT"),
        "adpcm.wav": write(folder / "adpcm.wav", y[:, :1], subtype="IMA_ADPCM"),
        "flac": write(folder / "a.flac", y),
        "ogg": write(folder / "a.ogg", y),
        "opus": folder / "a.opus",
        "mp3": write(folder / "a.mp3", y),
        "aiff": write(folder / "a.aiff", y),
        "au": write(folder / "a.au", y),
        "m4a": write_m4a(folder / "a.m4a", tone(SECONDS)),
    }
    soundfile.write(made["opus"], tone(SECONDS, rate=48_000), 48_000, format="OGG", subtype="OPUS")
    return {name: path.read_bytes() for name, path in made.items()}


def flip_bits(draw: random.Random, content: bytes) -> bytes:
    """Flip 1 to 64 bits anywhere."""
    changed = bytearray(content)
    for _ in range(2 ** draw.randrange(7)):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def flip_header(draw: random.Random, content: bytes) -> bytes:
    """Flip 1 to 8 bits in the header."""
    changed = bytearray(content)
    for _ in range(2 ** draw.randrange(4)):
        changed[draw.randrange(min(HEADER, len(changed)))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def truncate(draw: random.Random, content: bytes) -> bytes:
    """Truncate, as an interrupted download."""
    return content[: draw.randrange(len(content))]


def lie(draw: random.Random, content: bytes) -> bytes:
    """Put extreme or negative numbers into fields of the header."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        size = draw.choice((1, 2, 4, 8))
        at = draw.randrange(min(HEADER, len(changed)) - size)
        value = draw.choice(EXTREMES[size])
        changed[at : at + size] = value.to_bytes(size, draw.choice(("little", "big")))
    return bytes(changed)


def blank(draw: random.Random, content: bytes) -> bytes:
    """Overwrite a range with zeros, as after a lost block."""
    at = draw.randrange(len(content))
    size = draw.randrange(1, len(content))
    return content[:at] + bytes(len(content[at : at + size])) + content[at + size :]


def repeat(draw: random.Random, content: bytes) -> bytes:
    """Put a part of the file, header included, somewhere else in it, up to a thousand times."""
    start, end = sorted(draw.randrange(len(content)) for _ in range(2))
    part = content[start : min(end, start + 2000)]
    at = draw.randrange(len(content))
    return content[:at] + part * draw.choice((1, 2, 10, 1000)) + content[at:]


def shuffle(draw: random.Random, content: bytes) -> bytes:
    """Change the order of its blocks."""
    size = draw.choice((16, 128, 1024))
    blocks = [content[at : at + size] for at in range(0, len(content), size)]
    draw.shuffle(blocks)
    return b"".join(blocks)


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flip_bits,
    flip_header,
    truncate,
    lie,
    blank,
    repeat,
    shuffle,
)


def mutate(draw: random.Random, songs: dict[str, bytes], count: int) -> Iterator[Mutation]:
    """`count` changed songs: all codecs and all changes in turn, three in ten changed twice."""
    names = sorted(songs)
    for number in range(count):
        name = names[number % len(names)]
        change = MUTATIONS[number // len(names) % len(MUTATIONS)]
        content = change(draw, songs[name])
        if content and draw.random() < 0.3:
            content = draw.choice(MUTATIONS[:3])(draw, content)
        suffix = name.rpartition(".")[2]
        if draw.random() < 0.1:  # with another suffix
            suffix = draw.choice(names).rpartition(".")[2]
        yield Mutation(f"{change.__name__} {name}", suffix, content)


def wav(
    *,
    channels: int = 1,
    rate: int = 22_050,
    bits: int = 16,
    data: int | None = None,
    kind: int = 1,
    before: bytes = b"",
    riff: int | None = None,
    samples: bytes = bytes(22_050),
) -> bytes:
    """A WAV file whose header says what it is told to."""
    block = max(1, channels * bits // 8) & 0xFFFF
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, kind, channels, rate, (rate * block) & 0xFFFFFFFF, block, bits
    )
    output = len(samples) if data is None else data
    body = b"WAVE" + form + before + b"data" + struct.pack("<I", output) + samples
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def chunk(name: bytes, content: bytes, output: int | None = None) -> bytes:
    """A chunk of a RIFF file."""
    return name + struct.pack("<I", len(content) if output is None else output) + content


def built(draw: random.Random, songs: dict[str, bytes]) -> Iterator[Mutation]:
    """Crafted files: wrong headers and decompression bombs."""
    for rate in (0, 1, 7, 768_000, 2**31 - 1, 2**32 - 1):
        for channels in (0, 1, 255, 1024, 65_535):
            yield Mutation("lying wav", "wav", wav(rate=rate, channels=channels))
    for bits in (0, 1, 7, 12, 33, 255, 65_535):
        yield Mutation("lying wav", "wav", wav(bits=bits))
    for kind in (0, 2, 3, 6, 7, 17, 49, 85, 0xFFFE, 0xFFFF):
        yield Mutation("lying wav", "wav", wav(kind=kind))
    for size in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
        yield Mutation("lying wav", "wav", wav(data=size))
        yield Mutation("lying wav", "wav", wav(riff=size))
        yield Mutation("chunk bomb", "wav", wav(before=chunk(b"LIST", b"INFO", size)))
        yield Mutation("chunk bomb", "wav", wav(before=chunk(b"junk", b"", size)))
    for count in (1_000, 50_000):
        yield Mutation("chunk bomb", "wav", wav(before=chunk(b"junk", b"") * count))
        yield Mutation("chunk bomb", "wav", wav(before=chunk(b"data", b"") * count))
        yield Mutation("chunk bomb", "wav", wav(before=chunk(b"fmt ", b"") * count))
        yield Mutation("chunk bomb", "aiff", songs["aiff"][:12] + b"COMM\0\0\0\0" * count)
        yield Mutation("chunk bomb", "m4a", songs["m4a"][:32] + b"\0\0\0\x08moov" * count)
        yield Mutation("chunk bomb", "mp3", b"ID3\x04\0\0\0\0\0\0" * count + songs["mp3"])
        yield Mutation("chunk bomb", "flac", b"fLaC" + b"\x01\0\0\0" * count)
        yield Mutation("chunk bomb", "ogg", songs["ogg"][:58] * count)
        yield Mutation("chunk bomb", "au", b".snd" + struct.pack(">I", count) + bytes(count))
    nested = b""
    for _ in range(5_000):  # boxes in boxes
        nested = struct.pack(">I4s", len(nested) + 8, b"moov") + nested
    yield Mutation("chunk bomb", "m4a", songs["m4a"][:32] + nested)
    yield Mutation("chunk bomb", "mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + songs["mp3"])
    yield Mutation(
        "chunk bomb", "flac", songs["flac"][:4] + b"\x06\xff\xff\xff" + songs["flac"][4:]
    )
    yield from foreign(draw, songs)


def foreign(draw: random.Random, songs: dict[str, bytes]) -> Iterator[Mutation]:
    """Files that are not audio, with the suffix of audio."""
    contents = {
        "nothing": b"",
        "one byte": b"R",
        "zeros": bytes(100_000),
        "random": draw.randbytes(100_000),
        "html": b"<!doctype html><title>404</title>" * 50,
        "json": b'{"error": "not found"}',
        "script": b"#!/bin/sh\ntouch pwned\n",
        "playlist": b"#EXTM3U\n#EXTINF:1,x\nfile:///etc/passwd\n",
        "segments": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
        "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
        "two songs": songs["wav"] + songs["mp3"],
        "pickle": b"cposix\nsystem\n(S'touch pwned'\ntR.",
        "subtitles": b"1\n00:00:00,000 --> 00:10:00,000\nhello\n",
        "midi": b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x04\0\xff\x2f\0",
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x06\0\0\0",
    }
    for name, content in contents.items():
        for suffix in ("wav", "mp3", "m4a", "flac", "ogg"):
            yield Mutation(name, suffix, content)
