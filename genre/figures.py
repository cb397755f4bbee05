"""The figures of the reports, as matplotlib figures; `save` writes reproducible PNG files.

Titles name the split protocol (`heading`), because figures of different protocols cannot be
compared. Colours are from sequential maps and the Okabe-Ito palette, which is safe for colour
blindness.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from genre.core.files import atomic_path
from genre.splits import LEAKY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genre.evaluation import Reliability

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6E6E6E"  # of the Okabe-Ito palette
DPI = 120
SHARES_UP_TO = 16  # genres; with more, cells show counts only
CELL_INCHES = 0.62

Layout = Literal["constrained", "compressed"]  # compressed: for axes with a fixed aspect


def heading(what: str, protocol: str, *, demo: bool) -> str:
    """The title of a figure: what it shows, the split protocol, and whether songs are synthetic."""
    notes = [f"protocol {protocol}"]
    if protocol in LEAKY:
        notes.append("leaky, for comparison only")
    if demo:
        notes.append("synthetic demo songs")
    return f"{what}\n{', '.join(notes)}"


def confusion_figure(counts: pd.DataFrame, title: str) -> Figure:
    """A confusion matrix (actual genres in rows) with counts and shares of each row."""
    matrix = counts.to_numpy()
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    genres = [str(name) for name in counts.index]
    size = CELL_INCHES * max(len(genres), 6)
    figure = _new(size + 3.0, size + 1.6, layout="compressed")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        if not matrix[row, column]:
            continue
        text = f"{matrix[row, column]}"
        if len(genres) <= SHARES_UP_TO:
            text += f"\n{100 * shares[row, column]:.0f} %"
        colour = "white" if shares[row, column] > 0.55 else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8.5)
    axes.set_xticks(range(len(genres)), genres, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(len(genres)), [f"{g} ({n})" for g, n in zip(genres, totals.ravel(), strict=True)]
    )
    axes.set_xticks(np.arange(len(genres) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(genres) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#E4E4E4", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    for side in axes.spines.values():
        side.set_color("#BDBDBD")
    axes.set_xlabel("predicted genre")
    axes.set_ylabel("actual genre (number)")
    axes.set_title(title)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the actual genre")
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    bar.outline.set_visible(False)
    return figure


def curves_figure(history: pd.DataFrame, title: str, *, best_epoch: int | None = None) -> Figure:
    """Training curves: `history` has the columns `epoch, subset, loss, accuracy`."""
    figure = _new(10, 4.4)
    left, right = figure.subplots(1, 2)
    styles = {"train": (GREY, "--"), "validation": (BLUE, "-")}
    for axes, name, label in ((left, "loss", "cross-entropy (nats)"), (right, "accuracy", "")):
        for subset, rows in history.groupby("subset", sort=True):
            colour, line = styles.get(str(subset), (ORANGE, "-."))
            axes.plot(rows["epoch"], rows[name], color=colour, linestyle=line, label=str(subset))
        if best_epoch is not None:
            axes.axvline(best_epoch, color=ORANGE, linewidth=1, label=f"kept (epoch {best_epoch})")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.set_title(name, fontsize=11)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#E4E4E4", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    _per_cent(right, "y")
    left.set_ylim(bottom=0)
    lines, labels = right.get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title)
    return figure


def genres_figure(table: pd.DataFrame, title: str) -> Figure:
    """F1 of each genre as bars, best first, with precision and recall as markers.

    `table` has the columns `genre, n, precision, recall, f1`.
    """
    rows = table.sort_values(["f1", "genre"], ascending=[True, False], ignore_index=True)
    figure = _new(8, 1.9 + 0.42 * len(rows))
    axes = figure.subplots()
    positions = np.arange(len(rows))
    axes.barh(positions, rows["f1"], color="#9CC7E4", height=0.62, label="F1")
    axes.plot(
        rows["precision"],
        positions,
        "o",
        color=BLUE,
        markersize=6,
        clip_on=False,
        label="precision",
    )
    axes.plot(
        rows["recall"], positions, "D", color=ORANGE, markersize=5.5, clip_on=False, label="recall"
    )
    names = [f"{row.genre} ({row.n})" for row in rows.itertuples()]
    axes.set_yticks(positions, names)
    for position, f1 in enumerate(rows["f1"]):
        axes.text(1.03, position, f"{f1:.2f}", va="center", ha="left", fontsize=9.5)
    axes.text(1.03, len(rows) - 0.35, "F1", va="bottom", ha="left", fontsize=9.5)
    axes.set_xlim(0, 1.0)
    _per_cent(axes, "x")
    axes.set_ylabel("genre (number)")
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, pad=22)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def protocols_figure(table: pd.DataFrame, published: Mapping[str, float], title: str) -> Figure:
    """Accuracy of each model under each protocol, side by side, with intervals.

    `table` has the columns `model, protocol, accuracy, low, high`; `published` are the accuracies
    in the student report, drawn as markers on its protocol, `segment`.
    """
    models = list(dict.fromkeys(table["model"]))
    protocols = list(dict.fromkeys(table["protocol"]))
    colours = dict(zip(protocols, ("#BDBDBD", "#9CC7E4", BLUE, ORANGE), strict=False))
    figure = _new(1.6 + 1.5 * len(models), 4.6)
    axes = figure.subplots()
    width = 0.8 / len(protocols)
    for position, protocol in enumerate(protocols):
        rows = table[table["protocol"] == protocol].set_index("model").reindex(models)
        at = np.arange(len(models)) + (position - (len(protocols) - 1) / 2) * width
        reach = np.clip([rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]], 0, None)
        axes.bar(
            at,
            rows["accuracy"],
            0.92 * width,
            yerr=reach,
            color=colours[protocol],
            ecolor=GREY,
            capsize=2,
            label=protocol + (" (leaky)" if protocol in LEAKY else ""),
        )
    leaky = (protocols.index("segment") if "segment" in protocols else 0) - (len(protocols) - 1) / 2
    marked = [
        (position + leaky * width, published[model])
        for position, model in enumerate(models)
        if model in published
    ]
    if marked:
        axes.plot(*zip(*marked, strict=True), "D", color=ORANGE, markersize=7, label="the report")
    axes.set_xticks(range(len(models)), models)
    axes.set_ylim(0, 1)
    _per_cent(axes, "y")
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=len(protocols) + 1, frameon=False)
    return figure


def reliability_figure(panels: Mapping[str, Reliability], title: str) -> Figure:
    """Reliability diagrams side by side: accuracy against confidence, with the consistency band.

    `panels` maps a name, for example "before temperature scaling", to a reliability. A calibrated
    model has nineteen of twenty points inside the band.
    """
    figure = _new(4.9 * len(panels) + 0.4, 6.0, layout="compressed")
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, found) in zip(every, panels.items(), strict=True):
        _draw_reliability(axes, found.bins)
        error, raw = 100 * found.ece_debiased, 100 * found.ece
        axes.set_title(f"{name}\nerror {error:.1f} % debiased ({raw:.1f} % raw)", fontsize=11)
    every[0].set_ylabel("accuracy")
    lines, labels = every[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title)
    return figure


def _draw_reliability(axes: Axes, bins: pd.DataFrame) -> None:
    """Draw one reliability diagram: diagonal, bands, points."""
    confidence = bins["confidence"]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="true probabilities")
    band = axes.vlines(confidence, bins["low"], bins["high"], color="#9CC7E4", linewidth=9)
    band.set_label("95 % consistency band")
    axes.plot(confidence, bins["accuracy"], color=BLUE, linewidth=0.8)
    inside = bins["accuracy"].between(bins["low"], bins["high"])
    for points, colour, marker, label in (
        (bins[inside], BLUE, "o", "inside"),
        (bins[~inside], ORANGE, "D", "outside"),
    ):
        position = points["confidence"], points["accuracy"]
        clip = points.empty  # an empty line with clip_on=False breaks the layout
        axes.plot(*position, marker, color=colour, markersize=6, clip_on=clip, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence")
    axes.grid(color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _per_cent(axes, "x")
    _per_cent(axes, "y")


def save(figure: Figure, path: str | Path) -> None:
    """Write `figure` as PNG to `path`, atomically; the same figure gives the same bytes."""
    with atomic_path(path) as temporary:
        # Without matplotlib's version in the file, which would change its bytes.
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def _new(width: float, height: float, layout: Layout = "constrained") -> Figure:
    """An empty figure, size in inches, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _per_cent(axes: Axes, axis: str) -> None:
    from matplotlib.ticker import PercentFormatter

    chosen = axes.xaxis if axis == "x" else axes.yaxis
    chosen.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
