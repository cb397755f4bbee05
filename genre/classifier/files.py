"""Find the files to classify: those named, and those in the folders named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

AUDIO_NAMES = (
    *(".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".dsf", ".dts"),
    *(".flac", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".mpc", ".oga", ".ogg", ".opus", ".shn"),
    *(".snd", ".tak", ".tta", ".voc", ".w64", ".wav", ".wma", ".wv"),
)
# How MP3 (a tag, or a frame), FLAC, Ogg, AU, AIFF and WAV begin.
AUDIO_TYPES = re.compile(
    rb"ID3|\xff[\xf2\xf3\xfa\xfb]|fLaC|OggS|\.snd|FORM.{4}AIF|RIFF.{4}WAVE", re.DOTALL
)


@dataclass(frozen=True)
class File:
    """A file to classify; `found` if it was found in a folder that was named."""

    path: Path
    found: bool = False


def find(paths: Iterable[Path]) -> list[File]:
    """List the files of `paths`, each once, in the order given; folders are listed recursively.

    Files in a folder are sorted. Hidden files and folders in it are skipped, and so is what is
    not a regular file.
    """
    found: dict[Path, File] = {}
    for path in paths:
        if path.is_dir():
            for file in _below(path):
                found.setdefault(file, File(file, found=True))
        else:
            found[path] = File(path)
    return list(found.values())


def seems_audio(path: Path) -> bool:
    """Whether a file has the name or the first bytes of audio; True if it cannot be read."""
    if path.suffix.lower() in AUDIO_NAMES:
        return True
    try:
        with path.open("rb") as file:
            return AUDIO_TYPES.match(file.read(12)) is not None
    except OSError:
        return True


def _below(folder: Path) -> Iterable[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path
