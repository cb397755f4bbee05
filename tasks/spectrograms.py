"""spectrograms: `data/clips` → `data/spectrograms` and `data/log_mel`, a PNG per song.

The report's spectrograms have four channels (RGBA), log-mel spectrograms one. Log-mel spectrograms
are drawn if a model of `train.picture_models` needs them; otherwise their folder is empty.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from genre.core.cache import cache_key
from genre.core.files import atomic_folder
from genre.core.params import PICTURES, Params
from genre.features import log_mel, spectrogram
from tasks.io import paths
from tasks.io.songs import make_files
from tasks.io.step import step
from tasks.io.tables import find_clips

LIBRARIES = ("scipy", "numpy", "pillow")


def run(params: Params, root: Path) -> str:
    """Draw every clip; a clip that cannot be read is reported and left out."""
    settings = params.spectrograms
    spectrogram.colours(settings.colour_map)  # fails early for an unknown name
    clips = find_clips(root)
    counts = make_files(
        clips,
        partial(spectrogram.picture_of_clip, settings=settings),
        folder=root / paths.SPECTROGRAMS,
        suffix=".png",
        cache_key=cache_key(
            settings.model_dump(), ["audio", "spectrogram"], [*LIBRARIES, "matplotlib"]
        ),
        compute=params.compute,
        root=root,
    )
    summary = f"{counts.kept} spectrograms of {settings.width} × {settings.height} ({counts})"
    if not any(PICTURES[name] == "log_mel" for name in params.train.picture_models):
        with atomic_folder(root / paths.LOG_MEL):
            return summary
    counts = make_files(
        clips,
        partial(log_mel.picture_of_clip, settings=params.log_mel),
        folder=root / paths.LOG_MEL,
        suffix=".png",
        cache_key=cache_key(params.log_mel.model_dump(), ["audio", "log_mel"], LIBRARIES),
        compute=params.compute,
        root=root,
    )
    return f"{summary}; {counts.kept} log-mel spectrograms ({counts})"


def main() -> None:
    """Run the step as `python -m tasks.spectrograms`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
