"""Damaged and hostile archives: each is added or refused, without side effects.

Two hundred in `make test-slow`, five hundred in `make soak`.
"""

from __future__ import annotations

import bz2
import concurrent.futures
import gzip
import io
import lzma
import multiprocessing
import shutil
import stat
import struct
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import memory
import mutations
import pytest
from folders import left_behind
from songs import tone, write

from genre.collection import add
from genre.collection.archives import Limits
from genre.core.errors import GenreError

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from conftest import Draws

FEW, ALL = 200, 500  # archives, of which 136 are crafted
LIMITS = Limits(gigabytes=0.2, files=3_000)
MEGABYTES = 500  # of memory, whatever the archive claims
SECONDS = 30  # per archive, on a busy machine
NUL = "@"  # stands for it in names, as neither library writes one
CLIMBING = (
    "../outside.wav",
    "rock/../../outside.wav",
    "rock/../../../home/.ssh/id",
    "/tmp/outside.wav",
    "//server/outside.wav",
    "C:\\outside.wav",
    "..\\outside.wav",
    "rock\\..\\..\\outside.wav",
    "rock/..",
    "~/outside.wav",
    "@/outside.wav",
    "rock/@/../../outside.wav",
)


def zipped(names: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, content in names.items():
            packed.writestr(name, content)
    return file.getvalue()


def tarred(*entries: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as packed:
        for entry, content in entries:
            if entry.isfile():
                entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def plain(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """The header of a tar entry."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def block(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    """A header of a tar and its content, with a `size` that may be wrong."""
    entry = plain("rock/a.wav", kind)
    entry.size = len(body) if size is None else size
    return entry.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % tarfile.BLOCKSIZE)


def flagged(content: bytes, flag: int) -> bytes:
    """A zip archive with only this flag, on each entry and in the directory."""
    changed = bytearray(content)
    for at in range(len(changed) - 10):
        for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            if changed[at : at + 4] == magic:
                changed[at + offset : at + offset + 2] = struct.pack("<H", flag)
    return bytes(changed)


def in_parts(content: bytes) -> bytes:
    """A zip archive that claims to be the last of two parts."""
    at = content.rindex(b"PK\x05\x06")
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 1, 1, 1, 1, 10, 0)
    return content[:at] + end + struct.pack("<4sLQL", b"PK\x06\x07", 1, at, 2) + content[at:]


def originals(folder: Path) -> dict[str, bytes]:
    """Two songs and a manifest in every kind of archive."""
    songs = {
        f"{genre}/a.wav": write(folder / f"{genre}.wav", tone(0.5, seed=seed)).read_bytes()
        for seed, genre in enumerate(("jazz", "rock"))
    }
    files = songs | {"manifest.csv": b"path,artist\njazz/a.wav,Ann\n"}
    tar = tarred(*((plain(name), content) for name, content in files.items()))
    return {
        "stored.zip": zipped(files, zipfile.ZIP_STORED),
        "zip": zipped(files),
        "tar": tar,
        "tar.gz": gzip.compress(tar),
        "tar.bz2": bz2.compress(tar),
        "tar.xz": lzma.compress(tar),
    }


def built(songs: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Archives crafted to write outside the target, fill the disk, or confuse the reader."""
    song = b"RIFF" + bytes(100)
    for name in CLIMBING:
        climbing = zipped({"rock/a.wav": song, name: song})
        yield "climbing zip", climbing.replace(NUL.encode(), b"\0")
        yield "climbing tar", tarred((plain(name), song))
        override = plain("rock/a.wav")
        override.pax_headers = {"path": name}
        yield "climbing pax", tarred((override, song))
    for target in ("/etc/passwd", "../../home", "..", "a.wav", "/dev/zero"):
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = plain("rock/link.wav", kind, target)
            yield "link tar", tarred((link, b""), (plain("rock/link.wav/in.wav"), song))
        link_in_zip = zipfile.ZipInfo("rock/link.wav")
        link_in_zip.external_attr = (stat.S_IFLNK | 0o777) << 16
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr(link_in_zip, target)
        yield "link zip", file.getvalue()
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"):
        yield "device tar", tarred((plain("rock/device.wav", kind), b""))
    zeros = bytes(300_000_000)
    yield "bomb zip", zipped({"rock/a.wav": zeros})
    yield "bomb tar.gz", gzip.compress(tarred((plain("rock/a.wav"), zeros)), 9)
    yield "bomb tar.xz", lzma.compress(tarred((plain("rock/a.wav"), zeros)), preset=0)
    yield "bomb zip", zipped({"rock/a.wav": zeros}, zipfile.ZIP_BZIP2)
    yield "bomb zip", zipped({"rock/a.wav": zeros}, zipfile.ZIP_LZMA)
    long = b"a" * 190_000_000  # as much as `LIMITS` allow
    yield "bomb tar", block(tarfile.GNUTYPE_LONGNAME, long) + block(tarfile.REGTYPE, song)
    yield "bomb zip", zipped({f"rock/{number}.wav": b"" for number in range(4_000)})
    yield "bomb tar", tarred(*((plain(f"rock/{number}.wav"), b"") for number in range(4_000)))
    yield "bomb tar", tarred((plain("/".join("d" * 1_900) + "/a.wav"), song))
    yield "nested zip", zipped({f"rock/{name}": content for name, content in songs.items()})
    yield "nested zip", zipped({"rock/a.wav": zipped({"b.wav": zipped({"c.wav": song})})})
    yield "nested gz", gzip.compress(gzip.compress(songs["tar"]))
    yield "lying zip", songs["zip"].replace(struct.pack("<H", 8), struct.pack("<H", 99))
    yield "lying zip", songs["zip"].replace(b"PK\x01\x02\x14\x03", b"PK\x01\x02\x14\x03\xff\xff")
    for flag in (1, 1 << 6, 1 << 11):  # encrypted, strongly, names in UTF-8
        yield "flagged zip", flagged(songs["stored.zip"], flag)
    yield "odd zip", flagged(songs["stored.zip"].replace(b"jazz/a", b"\xff\xfezz/a"), 1 << 11)
    yield "odd zip", in_parts(songs["stored.zip"])
    for headers in (
        {"path": "rock/\0.wav"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
        {"GNU.sparse.map": "x,y"},
        {"GNU.sparse.size": "abc"},
    ):
        odd = plain("rock/a.wav")
        odd.pax_headers = headers
        yield "odd tar", tarred((odd, song))
    whole = block(tarfile.REGTYPE, song) + bytes(2 * tarfile.BLOCKSIZE)
    yield "odd tar", block(tarfile.GNUTYPE_LONGNAME, b"a\0") * 2_000 + whole
    yield "odd tar", block(tarfile.GNUTYPE_SPARSE, b"", size=2**50)  # endless, for tarfile
    yield "two of a name tar", tarred((plain("rock/a.wav"), song), (plain("rock/a.wav"), b"x"))
    yield "file and folder tar", tarred((plain("rock"), song), (plain("rock/a.wav"), song))
    yield "case tar", tarred((plain("rock/a.wav"), song), (plain("ROCK/A.WAV"), b"RIFFx"))
    for name in (*mutations.NAMES, mutations.NO_UTF8):
        entry = tarfile.TarInfo(f"rock/{name}")
        yield "name tar", tarred((entry, song), kind=tarfile.GNU_FORMAT)
        if name != mutations.NO_UTF8:
            yield "name zip", zipped({f"rock/{name}": song})
    yield "wrong size tar", songs["tar"].replace(b"0000000", b"7777777")
    yield "negative size tar", songs["tar"].replace(b"0000000", b"-000001")


def add_one(archive: Path, root: Path) -> tuple[str, str, float, int]:
    """Add an archive; return the outcome, the reason, seconds and peak memory."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    start = time.monotonic()
    try:
        add(archive, root, limits=LIMITS, log=lambda _: None)
        ending, why = "added", ""
    except GenreError as error:
        ending, why = "refused", str(error)
    except Exception as error:
        ending, why = "crashed", repr(error)
    seconds = time.monotonic() - start
    return ending, why, seconds, memory.peak()


def what_lies_there(folder: Path) -> dict[str, str]:
    return {
        str(path): path.read_text(errors="replace") if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


def test_every_hostile_archive_is_added_or_refused_and_nothing_is_written_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], draws: Draws
) -> None:
    count = draws.count(FEW, ALL)
    world = tmp_path / "world"
    (world / "home/.ssh").mkdir(parents=True)
    (world / "home/.ssh/id").write_text("not yours")
    archive, root = tmp_path / "songs", world / "deep/project"
    root.parent.mkdir()
    before = what_lies_there(world)
    ended: dict[str, dict[str, int]] = {}
    faults: list[str] = []
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        process.submit(int).result()  # its memory starts at its parent's
        songs = originals(tmp_path / "originals")
        made = list(built(songs))
        made += [
            (one.kind, one.content)
            for one in mutations.mutate(draws.random(), songs, count - len(made))
        ]
        for kind, content in made:
            archive.write_bytes(content)
            ending, why, seconds, megabytes = process.submit(add_one, archive, root).result()
            raw = root / "data/raw"
            strange = [path for path in raw.rglob("*") if path.is_symlink() or path.is_fifo()]
            if ending == "crashed" or seconds > SECONDS or megabytes > MEGABYTES or strange:
                faults.append(f"{kind}: {ending} {why} {seconds:.0f} s, {megabytes} MB {strange}")
            if ending == "refused" and (raw.exists() or not why or left_behind(root)):
                faults.append(f"{kind}: refused ({why}), and left {left_behind(root)}")
            shutil.rmtree(root, ignore_errors=True)
            if what_lies_there(world) != before:
                faults.append(f"{kind}: changed what is outside the project")
            counts = ended.setdefault(kind.split()[0], {"added": 0, "refused": 0, "crashed": 0})
            counts[ending] += 1

    with capsys.disabled():
        print("\n" + "\n".join(f"{kind}: {counts}" for kind, counts in sorted(ended.items())))
    assert len(made) == count
    assert faults == []
    assert ended["climbing"]["refused"] > 20
    assert all(ended[kind]["added"] == 0 for kind in ("link", "device", "bomb", "odd"))
    assert ended["name"]["added"]
