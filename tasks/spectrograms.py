"""spectrograms: `data/clips` → `data/spectrograms/<track_id>.png`, four channels each."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre.core.cache import cache_key
from genre.core.params import Params
from genre.features.spectrogram import colours, picture_of_clip
from tasks.io import paths
from tasks.io.songs import make_files
from tasks.io.step import step
from tasks.io.tables import find_clips

LIBRARIES = ("scipy", "numpy", "pillow", "matplotlib")


def run(params: Params, root: Path) -> str:
    """Draw the spectrogram of every clip; one that cannot be read is named and left out."""
    settings = params.spectrograms
    colours(settings.colour_map)  # an unknown name is told before any work is done
    tally = make_files(
        find_clips(root),
        partial(picture_of_clip, settings=settings),
        folder=root / paths.SPECTROGRAMS,
        suffix=".png",
        cache_key=cache_key(settings.model_dump(), ["audio", "spectrogram"], LIBRARIES),
        compute=params.compute,
        root=root,
    )
    return f"{tally.kept} pictures of {settings.width} × {settings.height} ({tally})"


def main() -> None:
    """Run the step as `python -m tasks.spectrograms`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
