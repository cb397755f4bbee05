"""Generated songs for the tests: short, and different from each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 22_050


def tone(
    seconds: float, *, seed: int = 0, rate: int = RATE, channels: int = 1
) -> npt.NDArray[np.float32]:
    """A few plucked partials over faint noise: float32, shape=(n, channels)."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    beat = 0.25 + 0.05 * (seed % 7)
    envelope = np.exp(-4 * (time % beat) / beat)
    pitches = random.uniform(110, 1200, size=4)
    y = sum(np.sin(2 * np.pi * pitch * time) for pitch in pitches) * envelope / 8
    y = y + 0.01 * random.standard_normal(len(time))
    stereo = [np.roll(y, 7 * channel) for channel in range(channels)]
    return np.stack(stereo, axis=1).astype(np.float32)


def write(path: Path, y: npt.NDArray[np.float32], *, rate: int = RATE, **settings: str) -> Path:
    """Write `y` in the format of the suffix of `path`, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, rate, **settings)
    return path


def write_m4a(path: Path, y: npt.NDArray[np.float32], *, rate: int = RATE, title: str = "") -> Path:
    """Write mono `y` as AAC in an MP4 container, with a tag for `title` unless it is empty."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="ipod") as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(y.reshape(1, -1), format="fltp", layout="mono")
        frame.sample_rate = rate
        for part in (frame, None):
            container.mux(stream.encode(part))
    return path


def write_no_duplicates(root: Path) -> None:
    """What the step ingest writes for the project at `root` if it finds no duplicates."""
    from genre import duplicates
    from genre.core.files import write_parquet
    from tasks.io import paths

    write_parquet(root / paths.DUPLICATES, duplicates.group([], []))


def write_collection(
    raw: Path, *, genres: tuple[str, ...] = ("jazz", "rock"), songs: int = 4, seconds: float = 6.0
) -> Path:
    """Fill `raw` with genre folders of different songs; the genres differ in pitch and noise."""
    for number, genre in enumerate(genres):
        for song in range(songs):
            y = tone(seconds, seed=100 * number + song)
            y += number * 0.02 * np.random.default_rng(song).standard_normal(y.shape)
            write(raw / genre / f"{genre}{song}.wav", y.astype(np.float32))
    return raw
