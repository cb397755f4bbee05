"""Which files a person means: those named, and those in the folders named."""

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
    """A file to classify: named, or found in a folder that was named."""

    path: Path
    found: bool = False


def find(paths: Iterable[Path]) -> list[File]:
    """The files of `paths`, folders with all that is below them, each once.

    In the order given, folders sorted. Hidden files and folders below a folder are passed over; so
    is what is no file (a pipe, a device).
    """
    found: dict[Path, File] = {}
    for path in paths:
        if path.is_dir():
            for file in _below(path):
                found.setdefault(file, File(file, found=True))
        else:
            found[path] = File(path)
    return list(found.values())


def claims_to_be_audio(path: Path) -> bool:
    """Whether the file's name, or how it begins, is that of audio, as of no cover or playlist.

    Also if it cannot be read.
    """
    if path.suffix.lower() in AUDIO_NAMES:
        return True
    try:
        with path.open("rb") as file:
            return AUDIO_TYPES.match(file.read(12)) is not None
    except OSError:
        return True


def _below(folder: Path) -> Iterable[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                yield path
