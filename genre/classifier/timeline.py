"""One song through time: the shares of its genres, and its mel spectrogram under them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genre.audio import SAMPLE_RATE, SEGMENT_SECONDS
from genre.classifier import Answer, stretches
from genre.classifier.batch import Result
from genre.classifier.output import length
from genre.core.messages import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
REST, OTHERS = "#C8C8C8", "others"
LEAST_SHARE = 0.02  # of the whole song, below which a genre is one of the others
STEPS = 240  # at most, of the shares; longer songs are averaged
COLUMNS = 1200  # at most, about, of the spectrogram
N_FFT, HOP_LENGTH = 2048, 1024  # samples
DYNAMIC_RANGE = 140  # shades of half a decibel
MOST_TICKS = 12
TICKS_HZ = (125, 500, 1000, 2000, 4000, 8000)
TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

Floats = npt.NDArray[np.float64]


def draw(result: Result, path: Path) -> None:
    """Draw the prediction for a song, which must have its `timeline`, to the PNG file `path`.

    The same song and prediction give the same bytes.
    """
    from genre.figures import save

    answer = result.answer
    assert answer is not None
    song = Path(result.path)
    drawn = figure(answer, song)
    best = f"{answer.genre} {100 * answer.probability:.0f} %"
    drawn.suptitle(f"{_plain(song.name)}\n{best}, {length(answer.seconds)} analysed")
    save(drawn, path)


def figure(
    answer: Answer, song: Path, size: tuple[float, float] = (10, 5.6), dpi: int = 100
) -> Figure:
    """The shares of the genres above the spectrogram; `size` is in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=size, dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(drawn)
    top, bottom = drawn.subplots(2, 1, sharex=True, height_ratios=(1.15, 1))
    _draw_shares(top, answer)
    _draw_spectrogram(bottom, song, answer.seconds)
    return drawn


def steps(answer: Answer) -> tuple[Floats, dict[str, Floats]]:
    """When each step of the shares begins, in seconds, and each genre's share from there on.

    The last step ends the song. Where the song is silent, no genre has a share. The genres with
    the greatest shares come first.
    """
    moments = answer.timeline or ()
    genres = list(moments[0].probabilities)
    starts, shares = [], []
    for number, moment in enumerate(moments):
        starts.append(moment.start_s)
        shares.append([moment.probabilities[genre] for genre in genres])
        end = moment.start_s + SEGMENT_SECONDS
        after = moments[number + 1].start_s if number + 1 < len(moments) else answer.seconds
        if after > end + 1e-6:
            starts.append(end)
            shares.append([0.0] * len(genres))
    together = -(-len(starts) // STEPS)
    cuts = range(0, len(starts), together)
    table = np.array([np.mean(shares[cut : cut + together], axis=0) for cut in cuts])
    when = np.array([*(starts[cut] for cut in cuts), answer.seconds])
    table = np.vstack([table, table[-1:]])
    order = np.argsort(-table.sum(axis=0), kind="stable")
    return when, {genres[place]: table[:, place] for place in order}


def palette(shares: Mapping[str, Floats]) -> dict[str, str]:
    """A colour for each genre of `steps`, the same grey for those with hardly a share."""
    strong = [
        genre
        for genre, share in shares.items()
        if genre != OTHERS and share[:-1].mean() >= LEAST_SHARE
    ]
    named = dict(zip(strong, COLOURS, strict=False))
    return {genre: named.get(genre, REST) for genre in shares}


def grouped(shares: Mapping[str, Floats]) -> dict[str, Floats]:
    """The shares of `steps`, those of the genres that are grey in `palette` as one, `OTHERS`."""
    colours = palette(shares)
    rows = {genre: share for genre, share in shares.items() if colours[genre] != REST}
    rest = [share for genre, share in shares.items() if colours[genre] == REST]
    if rest:
        rows[OTHERS] = np.sum(rest, axis=0)
    return rows


def shades(song: Path, seconds: float) -> Floats:
    """The log-mel spectrogram of a song [shape=(N_MELS, columns)], low bands first.

    Values are shades of half a decibel (see `genre.features.log_mel`), about `COLUMNS` columns for
    the `seconds` of the whole song. It is read again, in bounded memory; raises as `stretches`
    does.
    """
    from genre.core.params import LogMelParams
    from genre.features.log_mel import log_mel

    settings = LogMelParams(n_fft=N_FFT, hop_length=HOP_LENGTH)
    parts: list[Floats] = []
    heard = 0
    for stretch in stretches(song, max_seconds=np.inf):
        y = stretch.y[heard - stretch.start : stretch.end - stretch.start]
        heard = stretch.end
        columns = round(COLUMNS * len(y) / SAMPLE_RATE / max(seconds, 1e-3))
        parts.append(_columns(log_mel(y, settings), max(1, columns)))
    return np.concatenate(parts, axis=1)


def _draw_shares(axes: Axes, answer: Answer) -> None:
    when, shares = steps(answer)
    rows, colours = grouped(shares), palette(shares)
    axes.stackplot(
        when,
        list(rows.values()),
        labels=[_plain(genre) for genre in rows],
        colors=[colours.get(genre, REST) for genre in rows],
        step="post",
        linewidth=0,
    )
    axes.set(xlim=(0, max(answer.seconds, 1e-3)), ylim=(0, 1), ylabel="share of each genre")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(  # as they lie on each other
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
    places = np.interp(TICKS_HZ, centres, np.arange(N_MELS) + 0.5)
    axes.set_yticks(places, labels=[f"{hz:,}".replace(",", "\u202f") for hz in TICKS_HZ])
    fitting = [tick for tick in TICKS_S if seconds / tick <= MOST_TICKS]
    axes.set_xticks(np.arange(0, seconds + 1e-9, fitting[0] if fitting else 2 * TICKS_S[-1]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: length(value)))
    axes.set(xlabel="time", ylabel="frequency (Hz)")


def _columns(levels: npt.NDArray[Any], columns: int) -> Floats:
    """`columns` averages of neighbouring frames, where there are more frames than that."""
    parts = np.array_split(levels, min(columns, levels.shape[1]), axis=1)
    return np.stack([part.mean(axis=1) for part in parts], axis=1)


def _plain(text: str) -> str:
    """`text` as matplotlib draws it letter by letter."""
    return printable(text).replace("$", r"\$")
