"""A drift report as a picture: the farthest columns, and the confidence of the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from genre.core.params import DriftParams
from genre.drift.reference import Floats, Reference
from genre.drift.report import Report
from genre.figures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 20  # columns
BINS = np.linspace(0, 1, 21).tolist()


def draw(
    report: Report, reference: Reference, confidence: Floats, settings: DriftParams, title: str
) -> Figure:
    """The figure of a report; `confidence` [shape=(songs,)] is that of the new songs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = 2.4 + 0.24 * max(min(len(report.columns), SHOWN), 8)
    figure = Figure(figsize=(11, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    _columns(left, report, settings)
    _confidence(right, reference.confidence, confidence, settings)
    figure.suptitle(title)
    return figure


def _columns(axes: Axes, report: Report, settings: DriftParams) -> None:
    shown = report.columns[:SHOWN][::-1]
    positions = np.arange(len(shown))
    colours = [ORANGE if one.drifted else "#9CC7E4" for one in shown]
    axes.barh(positions, [one.psi for one in shown], color=colours, height=0.66)
    chance = [one.psi_by_chance for one in shown]
    axes.plot(
        chance, positions, "|", color="black", markersize=9, label="95 % of chance lies below"
    )
    axes.axvline(settings.psi, color=GREY, linestyle="--", linewidth=1, label="drift.psi")
    axes.set_yticks(positions, [one.name for one in shown], fontsize=8)
    axes.set_xlabel("population stability index")
    axes.set_title("columns, drifted ones in orange", fontsize=11)
    _finish(axes, "x")


def _confidence(axes: Axes, held_out: Floats, new: Floats, settings: DriftParams) -> None:
    for values, colour, name in ((held_out, GREY, "held out of training"), (new, BLUE, "new")):
        if len(values):
            axes.hist(
                values,
                BINS,
                weights=np.full(len(values), 1 / len(values)),
                histtype="step",
                color=colour,
                linewidth=1.8,
                label=f"{name} ({len(values)} songs)",
            )
    threshold = settings.low_confidence
    axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1, label="drift.low_confidence")
    axes.set(xlim=(0, 1), xlabel="probability of the predicted genre", ylabel="share of the songs")
    axes.set_title("confidence of the predictions", fontsize=11)
    _finish(axes, "y")


def _finish(axes: Axes, grid: Literal["x", "y"]) -> None:
    """Put the legend below the axes, where it hides nothing, and draw a plain frame."""
    position = (0.5, -0.1)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=position)
    axes.grid(axis=grid, color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
