"""trim: usable songs → `data/clips/<track_id>.wav`, mono, 22 050 Hz, 16-bit, exactly 30 s.

With `trim.export_segments` the ten 3 s segments of each clip are written beside them, as
`data/clips/segments/<track_id>.<number>.wav`; no other step reads those.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from genre.audio import Excerpt
from genre.compute import map_songs, progress
from genre.errors import AudioError
from genre.files import atomic_folder
from genre.params import Params, TrimParams
from tasks import paths
from tasks.cli import step
from tasks.tables import read_songs

SEGMENTS = "segments"  # a folder among the clips


@dataclass(frozen=True)
class Song:
    """One song to cut: where it is, what to call it, how long it is in seconds."""

    path: Path
    track_id: str
    seconds: float


def cut(song: Song, *, folder: Path, settings: TrimParams) -> str | None:
    """Write the clip of a song, and its segments where asked; return why it could not be done."""
    excerpt = Excerpt(song.path, position=settings.position, seconds=song.seconds)
    try:
        clip = excerpt.clip
    except AudioError as error:
        return str(error)
    clip.export(folder / f"{song.track_id}.wav", format="wav").close()
    if settings.export_segments:
        for number, segment in enumerate(excerpt.segments):
            name = f"{song.track_id}.{number}.wav"
            segment.export(folder / SEGMENTS / name, format="wav").close()
    return None


def run(params: Params, root: Path) -> str:
    """Cut every usable song; one that can no longer be read is named and left out."""
    table = read_songs(root)
    rows = zip(table["path"], table["track_id"], table["seconds"], strict=True)
    songs = [Song(root / paths.RAW / path, track_id, float(s)) for path, track_id, s in rows]
    with atomic_folder(root / paths.CLIPS) as folder:
        if params.trim.export_segments:
            (folder / SEGMENTS).mkdir()
        work = partial(cut, folder=folder, settings=params.trim)
        done = map_songs(work, songs, workers=params.compute.workers)
        lost = 0
        for song, reason in zip(songs, progress(done, total=len(songs), what="trim"), strict=True):
            if reason:
                lost += 1
                print(f"set aside: {song.path.relative_to(root / paths.RAW)} {reason}")
    aside = f", {lost} set aside" if lost else ""
    return f"{len(songs) - lost} clips of 30 s{aside}"


def main() -> None:
    """Run the step as `python -m tasks.trim`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
