"""log_mel: `data/clips` → `data/log_mel/<track_id>.png`, one grey channel each."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre.core.cache import cache_key
from genre.core.params import Params
from genre.features.log_mel import picture_of_clip
from tasks.io import paths
from tasks.io.songs import make_files
from tasks.io.step import step
from tasks.io.tables import find_clips

LIBRARIES = ("scipy", "numpy", "pillow")


def run(params: Params, root: Path) -> str:
    """Draw the log-mel spectrogram of every clip; one that cannot be read is left out, named."""
    settings = params.log_mel
    tally = make_files(
        find_clips(root),
        partial(picture_of_clip, settings=settings),
        folder=root / paths.LOG_MEL,
        suffix=".png",
        cache_key=cache_key(settings.model_dump(), ["audio", "log_mel"], LIBRARIES),
        compute=params.compute,
        root=root,
    )
    return f"{tally.kept} log-mel spectrograms ({tally})"


def main() -> None:
    """Run the step as `python -m tasks.log_mel`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
