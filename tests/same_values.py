"""Print a digest of decoded songs and their features; `make test-pythons` compares the Pythons'."""

from __future__ import annotations

import hashlib
import struct
import tempfile
from pathlib import Path

import numpy as np
from songs import tone, write, write_m4a

from genre import audio
from genre.audio import trim
from genre.features.report import extract_clip


def digest() -> str:
    """Return the sha256 of the clips and the features of a song in each of five formats."""
    content = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        for seed, suffix in enumerate(("wav", "flac", "mp3", "ogg", "m4a")):
            path = Path(folder) / f"song.{suffix}"
            y = tone(31, seed=seed, rate=44_100)
            if suffix == "m4a":
                write_m4a(path, y[:, 0], rate=44_100)
            else:
                write(path, y, rate=44_100)
            clip = trim.cut(path, "middle").raw_data
            content.update(clip)
            samples = np.frombuffer(clip, np.int16).astype(np.float32) / 32_768
            features, segments = extract_clip(samples, audio.SAMPLE_RATE)
            for row in (features, *segments):
                content.update(struct.pack(f"{len(row)}d", *row.values()))
    return content.hexdigest()


if __name__ == "__main__":
    print(digest())
