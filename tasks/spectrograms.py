"""spectrograms: `data/clips` → `data/spectrograms/<track_id>.png`, four channels each."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre.audio import read_clip
from genre.compute import map_songs, progress
from genre.errors import InputError
from genre.files import atomic_folder
from genre.params import Params, SpectrogramParams
from genre.spectrogram import colours, draw, encode_png
from tasks import paths
from tasks.cli import step
from tasks.tables import find_clips


def picture(clip: Path, *, settings: SpectrogramParams, folder: Path) -> str | None:
    """Draw one clip into `folder`; return why it could not be done."""
    try:
        y = read_clip(clip)
    except InputError as error:
        return str(error)
    (folder / f"{clip.stem}.png").write_bytes(encode_png(draw(y, settings)))
    return None


def run(params: Params, root: Path) -> str:
    """Draw the spectrogram of every clip; one that cannot be read is named and left out."""
    settings = params.spectrograms
    colours(settings.colour_map)  # an unknown name is told before any work is done
    clips = find_clips(root)
    with atomic_folder(root / paths.SPECTROGRAMS) as folder:
        work = partial(picture, settings=settings, folder=folder)
        done = map_songs(work, clips, workers=params.compute.workers)
        lost = 0
        for reason in progress(done, total=len(clips), what="spectrograms"):
            if reason:
                lost += 1
                print(f"set aside: {reason}")
    aside = f", {lost} set aside" if lost else ""
    return f"{len(clips) - lost} pictures of {settings.width} × {settings.height}{aside}"


def main() -> None:
    """Run the step as `python -m tasks.spectrograms`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
