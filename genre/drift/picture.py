"""A finding as a picture: the farthest columns, and how sure answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from genre.drift.finding import Finding
from genre.drift.reference import Floats, Reference
from genre.figures import BLUE, GREY, ORANGE
from genre.params import DriftParams

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 20  # columns
BINS = np.linspace(0, 1, 21).tolist()


def draw(
    finding: Finding, reference: Reference, songs: pd.DataFrame, settings: DriftParams, title: str
) -> Figure:
    """The figure of a finding about `songs`; `genre.figures.save` writes it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = finding.columns[:SHOWN]
    figure = Figure(
        figsize=(11, 2.4 + 0.24 * max(len(shown), 8)), layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    _columns(left, finding, settings)
    _confidence(right, reference, songs["confidence"].dropna().to_numpy(), settings)
    figure.suptitle(title)
    return figure


def _columns(axes: Axes, finding: Finding, settings: DriftParams) -> None:
    shown = finding.columns[:SHOWN][::-1]
    places = np.arange(len(shown))
    colours = [ORANGE if one.drifted else "#9CC7E4" for one in shown]
    axes.barh(places, [one.psi for one in shown], color=colours, height=0.66)
    chance = [one.psi_by_chance for one in shown]
    axes.plot(chance, places, "|", color="black", markersize=9, label="95 % of chance lies below")
    axes.axvline(settings.psi, color=GREY, linestyle="--", linewidth=1, label="drift.psi")
    axes.set_yticks(places, [one.name for one in shown], fontsize=8)
    axes.set_xlabel("population stability index")
    axes.set_title("columns, drifted ones in orange", fontsize=11)
    _legend(axes)
    _plain(axes, "x")


def _confidence(axes: Axes, reference: Reference, new: Floats, settings: DriftParams) -> None:
    kinds = (
        (reference.confidence, GREY, "held out of training"),
        (new, BLUE, "new"),
    )
    for values, colour, name in kinds:
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            words = f"{name} ({len(values)} songs)"
            axes.hist(
                values,
                BINS,
                weights=weights,
                histtype="step",
                color=colour,
                linewidth=1.8,
                label=words,
            )
    axes.axvline(
        settings.low_confidence,
        color=GREY,
        linestyle="--",
        linewidth=1,
        label="drift.low_confidence",
    )
    axes.set(xlim=(0, 1), xlabel="probability of the answer", ylabel="share of the songs")
    axes.set_title("how sure the answers are", fontsize=11)
    _legend(axes)
    _plain(axes, "y")


def _legend(axes: Axes) -> None:
    """Below the axes, where it hides nothing."""
    place = (0.5, -0.1)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=place)


def _plain(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.grid(axis=grid, color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
