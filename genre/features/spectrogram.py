"""Spectrogram pictures, the input of the report's CNN, as PNG files.

An image is uint8, shape=(height, width, 4), RGBA: time runs to the right from 0 to 30 s,
frequency upwards from 0 to half the sample rate, and the colour is the level in dB below the
loudest point of the clip.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, Samples, read_clip

if TYPE_CHECKING:
    from genre.core.params import SpectrogramParams

Image = npt.NDArray[np.uint8]

PNG_COMPRESSION = 4  # of zlib's 9: nearly the smallest file at a third of the time


def levels(
    y: Samples, *, nperseg: int, noverlap: int, dynamic_range_db: float
) -> npt.NDArray[np.float32]:
    """Level of each bin of `scipy.signal.spectrogram`, 0 (silent) to 1 (the loudest).

    `y` is float32, shape=(n,); returns float32, shape=(1 + nperseg // 2, frames). Power is taken
    to decibels below the loudest bin; `dynamic_range_db` below it and anything softer is 0. A clip
    of digital silence is 0 throughout.
    """
    from scipy.signal import spectrogram

    _, _, power = spectrogram(y, SAMPLE_RATE, nperseg=nperseg, noverlap=noverlap)
    loudest = power.max(initial=0.0)
    if loudest <= 0:
        return np.zeros(power.shape, dtype=np.float32)
    floor = 10 ** (-dynamic_range_db / 10)
    decibels = 10 * np.log10(np.maximum(power / loudest, floor))
    shades: npt.NDArray[np.float32] = (1 + decibels / dynamic_range_db).astype(np.float32)
    return shades


def draw(y: Samples, settings: SpectrogramParams) -> Image:
    """Draw the spectrogram of a clip [shape=(n,)] as an RGBA image, averaged to the given size."""
    from PIL import Image as Pillow

    shades = levels(
        y,
        nperseg=settings.nperseg,
        noverlap=settings.noverlap,
        dynamic_range_db=settings.dynamic_range_db,
    )
    picture = Pillow.fromarray(shades[::-1])
    smaller = picture.resize((settings.width, settings.height), Pillow.Resampling.BOX)
    index = np.rint(np.clip(np.asarray(smaller), 0, 1) * 255).astype(np.uint8)
    image: Image = colours(settings.colour_map)[index]
    return image


def picture_of_clip(source: Path | bytes, content: str, *, settings: SpectrogramParams) -> bytes:
    """The spectrogram of a clip whose sha256 is `content`, as a PNG file.

    Raises `AudioError` if the file has changed or cannot be read.
    """
    return encode_png(draw(read_clip(source, content), settings))


def encode_png(image: Image) -> bytes:
    """Encode an RGBA image as PNG; the same image gives the same bytes."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(image, mode="RGBA").save(buffer, "PNG", compress_level=PNG_COMPRESSION)
    return buffer.getvalue()


def read_picture(path: Path) -> Image:
    """The image in the file `path`, channels first: uint8, shape=(4, height, width).

    Raises `InputError` if it cannot be read.
    """
    from PIL import Image as Pillow

    from genre.core.errors import InputError

    try:
        with Pillow.open(path) as picture:
            image = np.asarray(picture.convert("RGBA"))
    except (OSError, SyntaxError, ValueError) as error:  # as Pillow finds the damage
        raise InputError(
            f"{path}: not a picture ({error}); draw it again (dvc repro spectrograms)"
        ) from error
    return np.ascontiguousarray(image.transpose(2, 0, 1))


@cache
def colours(name: str) -> Image:
    """The 256 colours of a matplotlib colour map: uint8, shape=(256, 4).

    Raises `ParameterError` if matplotlib has no colour map of that name.
    """
    import difflib

    from matplotlib import colormaps

    from genre.core.errors import ParameterError

    if name not in colormaps:
        near = difflib.get_close_matches(name, list(colormaps), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ParameterError(
            f"spectrograms.colour_map is {name!r}, expected a matplotlib colour map{hint}"
        )
    table: Image = colormaps[name](np.arange(256), bytes=True)
    return table
