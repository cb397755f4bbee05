"""trim: usable songs → `data/clips/<track_id>.flac`, mono, 22 050 Hz, 16-bit, exactly 30 s.

With `trim.export_segments` the ten 3 s segments of each clip are written beside them, as
`data/clips/segments/<track_id>.<number>.wav`; no other step reads those.
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
    """Write the segments of a clip, whose file is given by path and content, beside it."""
    folder = clip.parent / SEGMENTS
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(cut_segments(content)):
        part.export(folder / f"{clip.stem}.{number}.wav", format="wav").close()


def run(params: Params, root: Path) -> str:
    """Cut every usable song; one that can no longer be read is named and left out."""
    songs = as_songs(read_songs(root), root / paths.RAW)
    position = params.trim.position
    tally = make_files(
        songs,
        partial(clip_of_song, position=position),
        folder=root / paths.CLIPS,
        suffix=".flac",
        cache_key=cache_key({"position": position}, ["audio", "trim"], LIBRARIES),
        compute=params.compute,
        root=root,
        and_then=export_segments if params.trim.export_segments else None,
    )
    return f"{tally.kept} clips of 30 s ({tally})"


def main() -> None:
    """Run the step as `python -m tasks.trim`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
