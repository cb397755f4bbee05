"""MusiCNN's weights from where they were published: a wheel, fetched through the user's own pip.

pip knows the index, the proxy and the certificates that the user has; it only fetches, and
installs nothing. Nothing of the wheel is opened before its sha256 is the one that stands here, and
no code of it is ever run.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path

from genre.errors import GenreError, InputError
from genre.musicnn.weights import SETS, convert

REQUIREMENT = "musicnn==0.1.0"
WHEEL = "musicnn-0.1.0-py3-none-any.whl"
SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
LICENCE = "musicnn-0.1.0.dist-info/LICENSE.md"
LARGEST_MEMBER = 16 * 2**20  # bytes; the largest that is needed has 9.5 million
TIMEOUT_SECONDS = 1800
ANOTHER = "DO NOT MATCH THE HASHES"  # pip's words for a file of another hash
LOOK = "look at the index that pip is set up with (pip config list), and try again"


def fetch() -> bytes:
    """The wheel, through pip as the user has set it up.

    Raises `GenreError` where pip cannot fetch it (trying again later may help), `InputError` where
    what it found is another file.
    """
    with tempfile.TemporaryDirectory(prefix="musicnn-") as name:
        folder = Path(name)
        wanted = folder / "requirements.txt"  # pip compares the hash before it opens the file, too
        wanted.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        try:
            result = subprocess.run(
                [*command, "--dest", name, "--requirement", str(wanted)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _unavailable(f"it took more than {TIMEOUT_SECONDS} s") from error
        if result.returncode:
            said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
            if any(ANOTHER in line for line in said):
                raise InputError(f"pip download {REQUIREMENT}: {'; '.join(said[-2:])}; {LOOK}")
            raise _unavailable(f"it said: {said[-1] if said else f'exit {result.returncode}'}")
        try:
            content = (folder / WHEEL).read_bytes()
        except OSError as error:
            raise _unavailable(f"{WHEEL} was not there") from error
    verify(content, WHEEL)
    return content


def verify(content: bytes, name: str) -> None:
    """Raise `InputError` that begins with `name` unless `content` is the published wheel."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise InputError(
            f"{name}: found {len(content)} bytes of sha256 {found}, expected {SHA256}: truncated, "
            f"or not the published file; {LOOK}"
        )


def convert_wheel(content: bytes, names: Collection[str], name: str) -> dict[str, bytes]:
    """The weights `names` (`msd`, `mtt`) of the wheel `content` as safetensors files' contents.

    Raises `InputError` that begins with `name`, the wheel's, where it is another wheel, or its
    weights cannot be converted.
    """
    verify(content, name)
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        licence = _member(wheel, LICENCE, name).decode()
        return {
            weights: convert(
                weights,
                _member(wheel, f"musicnn/{SETS[weights].folder}/.index", name),
                _member(wheel, f"musicnn/{SETS[weights].folder}/.data-00000-of-00001", name),
                licence,
                f"{name}: {SETS[weights].folder}",
            )
            for weights in names
        }


def _member(wheel: zipfile.ZipFile, path: str, name: str) -> bytes:
    try:
        size = wheel.getinfo(path).file_size
    except KeyError as error:
        raise InputError(f"{name}: {path} is not in it, expected MusiCNN's wheel") from error
    if size > LARGEST_MEMBER:
        raise InputError(f"{name}: {path} has {size} bytes, expected at most {LARGEST_MEMBER}")
    return wheel.read(path)


def _unavailable(why: str) -> GenreError:
    return GenreError(
        f"MusiCNN's weights could not be fetched: tried pip download {REQUIREMENT}, and {why}. "
        "Check the network and pip's index (pip config list), or give pip a folder with "
        f"{WHEEL} (PIP_FIND_LINKS); or list families without musicnn in features.families"
    )
