"""Draw the genres of a song through time, above its mel spectrogram."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, SEGMENT_SECONDS
from genre.classifier import Prediction, read_windows
from genre.classifier.batch import Result
from genre.classifier.output import length
from genre.core.messages import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
REST, OTHERS = "#C8C8C8", "others"
MIN_SHARE = 0.02  # of the whole song; a genre below it is drawn as one of the others
STEPS = 240  # at most, of the shares; longer songs are averaged
COLUMNS = 1200  # of the spectrogram, about
N_FFT, HOP_LENGTH = 2048, 1024  # samples
DYNAMIC_RANGE = 140  # shades of half a decibel
MAX_TICKS = 12
TICKS_HZ = (125, 500, 1000, 2000, 4000, 8000)
TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

Floats = npt.NDArray[np.float64]


def draw(result: Result, path: Path) -> None:
    """Draw the prediction for a song, which must have its `timeline`, to the PNG file `path`.

    The same song and prediction give the same bytes.
    """
    from genre.figures import save

    prediction = result.prediction
    assert prediction is not None
    song = Path(result.path)
    drawn = figure(prediction, song)
    best = f"{prediction.genre} {100 * prediction.probability:.0f} %"
    drawn.suptitle(f"{_plain(song.name)}\n{best}, {length(prediction.seconds)} analysed")
    save(drawn, path)


def figure(
    prediction: Prediction, song: Path, size: tuple[float, float] = (10, 5.6), dpi: int = 100
) -> Figure:
    """The figure: shares of the genres above the spectrogram; `size` is in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=size, dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(drawn)
    top, bottom = drawn.subplots(2, 1, sharex=True, height_ratios=(1.15, 1))
    _draw_shares(top, prediction)
    _draw_spectrogram(bottom, song, prediction.seconds)
    return drawn


def steps(prediction: Prediction) -> tuple[Floats, dict[str, Floats]]:
    """The start of each step in seconds, and the share of each genre in it, largest genre first.

    The last start is the end of the song. In silence every share is 0.
    """
    segments = prediction.timeline or ()
    genres = list(segments[0].probabilities)
    starts, shares = [], []
    for number, moment in enumerate(segments):
        starts.append(moment.start_s)
        shares.append([moment.probabilities[genre] for genre in genres])
        end = moment.start_s + SEGMENT_SECONDS
        after = segments[number + 1].start_s if number + 1 < len(segments) else prediction.seconds
        if after > end + 1e-6:
            starts.append(end)
            shares.append([0.0] * len(genres))
    together = -(-len(starts) // STEPS)
    cuts = range(0, len(starts), together)
    table = np.array([np.mean(shares[cut : cut + together], axis=0) for cut in cuts])
    when = np.array([*(starts[cut] for cut in cuts), prediction.seconds])
    table = np.vstack([table, table[-1:]])
    order = np.argsort(-table.sum(axis=0), kind="stable")
    return when, {genres[index]: table[:, index] for index in order}


def palette(shares: Mapping[str, Floats]) -> dict[str, str]:
    """A colour for each genre of `steps`; grey for genres below `MIN_SHARE`."""
    strong = [
        genre
        for genre, share in shares.items()
        if genre != OTHERS and share[:-1].mean() >= MIN_SHARE
    ]
    named = dict(zip(strong, COLOURS, strict=False))
    return {genre: named.get(genre, REST) for genre in shares}


def grouped(shares: Mapping[str, Floats]) -> dict[str, Floats]:
    """The shares of `steps`, with the genres that are grey in `palette` added up as `OTHERS`."""
    colours = palette(shares)
    rows = {genre: share for genre, share in shares.items() if colours[genre] != REST}
    rest = [share for genre, share in shares.items() if colours[genre] == REST]
    if rest:
        rows[OTHERS] = np.sum(rest, axis=0)
    return rows


def shades(song: Path, seconds: float) -> Floats:
    """The log-mel spectrogram of a song [shape=(N_MELS, columns)], low bands first.

    Values are steps of half a decibel (see `genre.features.log_mel`), in about `COLUMNS` columns
    for the `seconds` of the song. The song is decoded again, in bounded memory; raises as
    `read_windows`.
    """
    from genre.core.params import LogMelParams
    from genre.features.log_mel import log_mel

    settings = LogMelParams(n_fft=N_FFT, hop_length=HOP_LENGTH)
    parts: list[Floats] = []
    position = 0
    for window in read_windows(song, max_seconds=np.inf):
        y = window.y[position - window.start : window.end - window.start]
        position = window.end
        columns = round(COLUMNS * len(y) / SAMPLE_RATE / max(seconds, 1e-3))
        parts.append(_columns(log_mel(y, settings), max(1, columns)))
    return np.concatenate(parts, axis=1)


def _draw_shares(axes: Axes, prediction: Prediction) -> None:
    when, shares = steps(prediction)
    rows, colours = grouped(shares), palette(shares)
    axes.stackplot(
        when,
        list(rows.values()),
        labels=[_plain(genre) for genre in rows],
        colors=[colours.get(genre, REST) for genre in rows],
        step="post",
        linewidth=0,
    )
    axes.set(xlim=(0, max(prediction.seconds, 1e-3)), ylim=(0, 1), ylabel="share of each genre")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(  # in the order of the areas
        handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
    )


def _draw_spectrogram(axes: Axes, song: Path, seconds: float) -> None:
    from matplotlib.ticker import FuncFormatter

    from genre.features.report.filters import N_MELS, mel

    levels = shades(song, seconds)
    loudest = levels.max()
    axes.imshow(
        levels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=loudest - DYNAMIC_RANGE,
        vmax=loudest,
        extent=(0, max(seconds, 1e-3), 0, N_MELS),
        interpolation="nearest",
    )
    centres = mel(SAMPLE_RATE, N_FFT).argmax(axis=1) * SAMPLE_RATE / N_FFT
    positions = np.interp(TICKS_HZ, centres, np.arange(N_MELS) + 0.5)
    axes.set_yticks(positions, labels=[f"{hz:,}".replace(",", "\u202f") for hz in TICKS_HZ])
    fitting = [tick for tick in TICKS_S if seconds / tick <= MAX_TICKS]
    axes.set_xticks(np.arange(0, seconds + 1e-9, fitting[0] if fitting else 2 * TICKS_S[-1]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: length(value)))
    axes.set(xlabel="time", ylabel="frequency (Hz)")


def _columns(levels: npt.NDArray[Any], columns: int) -> Floats:
    """Average neighbouring frames so that at most `columns` are left."""
    parts = np.array_split(levels, min(columns, levels.shape[1]), axis=1)
    return np.stack([part.mean(axis=1) for part in parts], axis=1)


def _plain(text: str) -> str:
    """`text` with escaped dollars, which matplotlib would take for mathematics."""
    return printable(text).replace("$", r"\$")
