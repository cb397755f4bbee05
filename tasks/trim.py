"""trim: usable songs → `data/clips/<track_id>.flac`, mono, 22 050 Hz, 16-bit, exactly 30 s.

With `trim.export_segments` the ten 3 s segments of each clip are also written, to
`data/clips/segments/<track_id>.<number>.wav`; no other step reads them.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre.audio.trim import clip_of_song, cut_segments
from genre.core.cache import cache_key
from genre.core.params import Params
from tasks.io import paths
from tasks.io.songs import make_files
from tasks.io.step import step
from tasks.io.tables import as_songs, read_songs

SEGMENTS = "segments"  # a folder among the clips
LIBRARIES = ("soundfile", "av", "soxr", "pydub", "numpy")


def export_segments(clip: Path, content: bytes) -> None:
    """Write the segments of a clip, given by its path and content, to a subfolder."""
    folder = clip.parent / SEGMENTS
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(cut_segments(content)):
        part.export(folder / f"{clip.stem}.{number}.wav", format="wav").close()


def run(params: Params, root: Path) -> str:
    """Cut the clip of every usable song; a song that cannot be read is reported and left out."""
    songs = as_songs(read_songs(root), root / paths.RAW)
    position = params.trim.position
    counts = make_files(
        songs,
        partial(clip_of_song, position=position),
        folder=root / paths.CLIPS,
        suffix=".flac",
        cache_key=cache_key({"position": position}, ["audio", "trim"], LIBRARIES),
        compute=params.compute,
        root=root,
        and_then=export_segments if params.trim.export_segments else None,
    )
    return f"{counts.kept} clips of 30 s ({counts})"


def main() -> None:
    """Run the step as `python -m tasks.trim`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
