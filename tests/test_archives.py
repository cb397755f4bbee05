"""Archives: detected by content, unpacked safely, added like folders."""

from __future__ import annotations

import hashlib
import io
import itertools
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import memory
import pytest
from folders import left_behind, rows_in, songs_in, write_tree

from genre.collection import add, archives
from genre.collection.archives import Limits, unpack
from genre.core.errors import CollectionError

SONGS = {
    "blues/a.mp3": b"A" * 2000,
    "rock/deep/c.wav": b"C",
    "manifest.csv": b"path,artist\nblues/a.mp3,Ann\n",
}
SUFFIXES = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")


def pack(
    path: Path,
    files: dict[str, bytes],
    *,
    within: str = "",
    method: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """Make an archive of the type of the suffix."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", method) as packed:
            for name, content in files.items():
                packed.writestr(within + name, content)
    else:
        kind = path.suffix[1:] if path.suffix != ".tar" else ""
        with tarfile.open(path, f"w:{kind}") as packed:  # type: ignore[call-overload]
            for name, content in files.items():
                entry = tarfile.TarInfo(within + name)
                entry.size = len(content)
                packed.addfile(entry, io.BytesIO(content))
    return path


def tar_of(path: Path, *entries: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as packed:
        for entry in entries:
            packed.addfile(entry)
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def refused(archive: Path, tmp_path: Path, message: str, limits: Limits | None = None) -> None:
    """Assert that adding `archive` is refused with `message` and writes nothing anywhere."""
    root = tmp_path / "project"
    outside = set(tmp_path.iterdir()) | {root}
    with pytest.raises(CollectionError, match=message):
        add(archive, root, limits=limits)
    assert not (root / "data/raw").exists()
    assert left_behind(root) == []
    assert set(tmp_path.iterdir()) == outside


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("within", ["", "my music/"])
def test_an_archive_is_added_like_the_folder_it_holds(
    tmp_path: Path, suffix: str, within: str
) -> None:
    archive = pack(tmp_path / f"songs.{suffix}", SONGS, within=within)
    unnamed = archive.rename(tmp_path / "no suffix at all")  # detected by its content
    added = add(unnamed, tmp_path)
    assert added.added == ("blues/a.mp3", "rock/deep/c.wav")
    assert songs_in(tmp_path) == {name: SONGS[name] for name in added.added}
    assert rows_in(tmp_path)["blues/a.mp3"]["artist"] == "Ann"
    assert unnamed.exists()
    assert add(unnamed, tmp_path).already == 2


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"blues/a.mp3": b"1", "blues/b.mp3": b"2"}, {"blues/a.mp3", "blues/b.mp3"}),
        ({"all/blues/a.mp3": b"1", "all/readme.txt": b""}, {"blues/a.mp3"}),
        ({"all/blues/a.mp3": b"1", "readme.txt": b""}, {"blues/a.mp3"}),
        ({"all/blues/a.mp3": b"1", "__MACOSX/all/blues/._a.mp3": b"2"}, {"blues/a.mp3"}),
        ({"all/a.mp3": b"1", "all/manifest.csv": b"path,genre\na.mp3,jazz\n"}, {"jazz/a.mp3"}),
        ({"jazz/a.mp3": b"1", "manifest.csv": b"path\njazz/a.mp3\n"}, {"jazz/a.mp3"}),
    ],
)
def test_a_single_top_folder_is_skipped_unless_it_is_a_genre(
    tmp_path: Path, files: dict[str, bytes], expected: set[str]
) -> None:
    add(pack(tmp_path / "songs.zip", files), tmp_path)
    assert set(songs_in(tmp_path)) == expected


def test_backslashes_in_a_zip_are_folders(tmp_path: Path) -> None:
    add(pack(tmp_path / "songs.zip", {"blues\\a.mp3": b"1"}), tmp_path)
    assert set(songs_in(tmp_path)) == {"blues/a.mp3"}


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        *itertools.product(
            ("zip", "tar.gz"),
            ("../evil.mp3", "blues/../../evil.mp3", "/tmp/evil.mp3", "C:/evil.mp3"),
        ),
        ("zip", "..\\evil.mp3"),  # in a tar a backslash is part of the name
    ],
)
def test_an_entry_outside_the_target_is_refused(tmp_path: Path, suffix: str, name: str) -> None:
    archive = pack(tmp_path / f"songs.{suffix}", {"blues/a.mp3": b"1", name: b"evil"})
    refused(archive, tmp_path, "would land outside the target")


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "a.mp3"),
        (tarfile.LNKTYPE, "blues/a.mp3"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
    ],
)
def test_links_and_devices_in_a_tar_are_refused_wherever_they_lead(
    tmp_path: Path, kind: bytes, link: str
) -> None:
    archive = tar_of(tmp_path / "songs.tar", entry("blues/a.mp3"), entry("blues/b.mp3", kind, link))
    refused(archive, tmp_path, r"'blues/b.mp3' is a link or a device")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("blues/b.mp3")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as packed:
        packed.writestr("blues/a.mp3", "A")
        packed.writestr(link, "/etc/passwd")
    refused(tmp_path / "songs.zip", tmp_path, r"'blues/b.mp3' is a link")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_more_bytes_than_allowed_are_refused(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"songs.{suffix}", {"blues/a.mp3": os.urandom(300_000)})
    refused(archive, tmp_path, r"more than 0.0002 GB.*--max-gigabytes", Limits(gigabytes=0.0002))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_more_entries_than_allowed_are_refused(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"songs.{suffix}", {f"blues/{n}.mp3": b"x" for n in range(11)})
    refused(archive, tmp_path, "more than 10 entries", Limits(files=10))


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")]
)
def test_a_zip_method_without_a_bound_on_memory_is_refused_by_name(
    tmp_path: Path, method: int, name: str
) -> None:
    archive = pack(tmp_path / "songs.zip", {"blues/a.mp3": b"A"}, method=method)
    refused(archive, tmp_path, f"'blues/a.mp3' is packed with {name}, .* pack the songs as")


@pytest.mark.parametrize("suffix", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_silence_is_unpacked_in_little_memory(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"songs.{suffix}", {"blues/a.wav": bytes(30_000_000)})
    with memory.bounded(20):
        unpack(archive, tmp_path / "to", Limits())
    assert (tmp_path / "to/blues/a.wav").stat().st_size == 30_000_000


def test_an_xz_dictionary_larger_than_any_usual_one_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "songs.tar.xz", {"blues/a.mp3": b"A"})
    content = bytearray(archive.read_bytes())
    size = 4 * (content[12] + 1)  # of the header of its block
    content[16] = 40  # 4 GB in one byte
    content[8 + size : 12 + size] = struct.pack("<I", zlib.crc32(content[12 : 8 + size]))
    archive.write_bytes(content)
    refused(archive, tmp_path, r"cannot be unpacked .*Memory usage limit exceeded\).*unpack it")


def test_an_xz_file_may_be_of_several_streams_and_padding(tmp_path: Path) -> None:
    archive = pack(tmp_path / "songs.tar", SONGS)
    content, half = archive.read_bytes(), 700
    archive.write_bytes(lzma.compress(content[:half]) + bytes(8) + lzma.compress(content[half:]))
    assert len(add(archive, tmp_path).added) == 2


@pytest.mark.parametrize("suffix", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, suffix: str) -> None:
    archive = pack(
        tmp_path / f"bomb.{suffix}", {"blues/a.wav": bytes(archives.RATIO_FREE_BYTES + 1)}
    )
    refused(archive, tmp_path, r"more than 200 times its size, as a decompression bomb does")


@pytest.mark.parametrize("before", [{}, {"blues/b.mp3": b"B"}])
def test_large_headers_in_a_tar_are_refused_wherever_they_are(
    tmp_path: Path, before: dict[str, bytes]
) -> None:
    large = entry("blues/a.mp3")
    large.pax_headers = {"comment": "x" * (archives.HEADER_BYTES + tarfile.RECORDSIZE)}
    with tarfile.open(tmp_path / "songs.tar.xz", "w:xz", format=tarfile.PAX_FORMAT) as packed:
        for name, content in before.items():
            first = entry(name)
            first.size = len(content)
            packed.addfile(first, io.BytesIO(content))
        packed.addfile(entry("blues/silence.mp3"))
        packed.addfile(large)
    refused(tmp_path / "songs.tar.xz", tmp_path, "more than 64 KiB of headers before a file")


def test_headers_of_usual_size_are_accepted(
    tmp_path: Path,
) -> None:
    attributes = {"SCHILY.xattr.user.cover": "x" * 40_000, "comment": "by Ann"}
    with tarfile.open(
        tmp_path / "songs.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "all"}
    ) as packed:
        for number in range(3):
            song = entry(f"blues/{number}.mp3")
            song.pax_headers, song.size = attributes, 100_000
            packed.addfile(song, io.BytesIO(bytes([number]) * song.size))
    assert len(add(tmp_path / "songs.tar", tmp_path).added) == 3


def test_a_zip_with_a_wrong_size_in_its_header_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "songs.zip", {"blues/a.mp3": b"A" * 5000})
    content = archive.read_bytes()
    assert content.count(struct.pack("<I", 5000)) == 2
    archive.write_bytes(content.replace(struct.pack("<I", 5000), struct.pack("<I", 100)))
    refused(archive, tmp_path, "cannot be unpacked .*CRC-32")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_that_is_cut_short_or_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    archive = pack(tmp_path / f"songs.{suffix}", {"blues/a.mp3": os.urandom(50_000)})
    content = archive.read_bytes()
    damaged = bytearray(content)
    if suffix in ("zip", "tar.gz", "tar.bz2", "tar.xz"):
        damaged[30_000] ^= 0xFF  # deep in the song; its checksum comes after it
        archive.write_bytes(damaged)
        refused(archive, tmp_path, "cannot be unpacked .* download it again")
    archive.write_bytes(content[:30_000])
    refused(archive, tmp_path, "cannot be unpacked .* download it again")


def test_a_tar_with_a_damaged_or_missing_header_is_not_added_in_part(tmp_path: Path) -> None:
    archive = pack(tmp_path / "songs.tar", {"blues/a.mp3": b"A" * 512, "blues/b.mp3": b"B" * 512})
    content = archive.read_bytes()
    archive.write_bytes(content[:1024])  # cut where the second song begins
    refused(archive, tmp_path, "it ends too early")
    archive.write_bytes(content[:1030] + b"?" + content[1031:])
    refused(archive, tmp_path, "a header is damaged")


def test_a_tar_of_the_current_folder_is_added(tmp_path: Path) -> None:
    write_tree(tmp_path / "music", {"blues/a.mp3": "A"})
    with tarfile.open(tmp_path / "songs.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "music", arcname=".")
    assert add(tmp_path / "songs.tar.gz", tmp_path).added == ("blues/a.mp3",)


def test_an_encrypted_zip_and_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "songs.zip", {"blues/a.mp3": b"A" * 100})
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flag of encryption, in the entry and in the directory
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    refused(archive, tmp_path, "cannot be unpacked .*encrypted")
    twice = tar_of(tmp_path / "songs.tar", entry("blues/a.mp3"), entry("blues/a.mp3"))
    archive.unlink()
    refused(twice, tmp_path, "'blues/a.mp3' occurs twice")


def test_an_archive_with_no_song_in_it_is_refused(tmp_path: Path) -> None:
    refused(pack(tmp_path / "songs.zip", {"readme.txt": b"hello"}), tmp_path, "holds no songs")
    (tmp_path / "songs.zip").unlink()
    refused(
        pack(tmp_path / "songs.tar", {"a.txt": b"", "x/b.txt": b""}), tmp_path, "holds no songs"
    )


def test_a_wrong_sha256_is_refused_and_the_right_one_is_not(tmp_path: Path) -> None:
    archive = pack(tmp_path / "songs.zip", SONGS)
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    root = tmp_path / "project"
    with pytest.raises(CollectionError, match=f"found sha256 {right}, expected {'0' * 64}"):
        add(archive, root, sha256="0" * 64)
    with pytest.raises(CollectionError, match="expected 64 hexadecimal digits"):
        add(archive, root, sha256="123")
    assert not (root / "data/raw").exists()
    assert len(add(archive, root, sha256=right.upper()).added) == 2


@pytest.mark.parametrize("content", [b"", b"PK not really", b"\x1f\x8b\x08 no", b"RIFF" * 999])
def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "songs.zip").write_bytes(content)
    refused(tmp_path / "songs.zip", tmp_path, "cannot be unpacked as zip, tar, tar.gz, tar.bz2 or")


def test_unpacked_files_have_default_permissions(tmp_path: Path) -> None:
    made = entry("blues/a.mp3")
    made.mode = 0o6777
    unpack(tar_of(tmp_path / "songs.tar", made), tmp_path / "to", Limits())
    assert (tmp_path / "to/blues/a.mp3").stat().st_mode & 0o7111 == 0


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.zip", {"a.txt": b"a"}).read_bytes()
    archive = pack(tmp_path / "songs.tar", {"rock/a.mp3": b"A", "rock/inner.zip": inner})

    unpack(archive, tmp_path / "unpacked", Limits())

    assert (tmp_path / "unpacked/rock/a.mp3").read_bytes() == b"A"
