"""Figures: their titles and labels, and the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from genre import evaluation, figures


def counts(genres: int = 4) -> pd.DataFrame:
    names = [f"genre {number}" for number in range(genres)]
    matrix = np.random.default_rng(0).integers(0, 5, (genres, genres)) + 9 * np.eye(genres)
    return pd.DataFrame(matrix.astype(int), index=names, columns=names)


def confusion(genres: int = 4) -> Figure:
    return figures.confusion_figure(counts(genres), "Confusion\nprotocol song")


def curves() -> Figure:
    epochs = np.arange(1, 6)
    rows = [
        pd.DataFrame(
            {"epoch": epochs, "subset": subset, "loss": 1 / epochs, "accuracy": epochs / 6}
        )
        for subset in ("train", "validation")
    ]
    return figures.curves_figure(pd.concat(rows), "Training\nprotocol song", best_epoch=3)


def genres() -> Figure:
    table = pd.DataFrame(
        {"genre": ["jazz", "rock"], "n": [3, 4], "precision": [1, 0], "recall": [1, 0.5]}
    ).assign(f1=[1.0, 0.0])
    return figures.genres_figure(table, "Scores\nprotocol song")


def reliability() -> Figure:
    proba = np.random.default_rng(0).dirichlet([0.3] * 4, 300)
    truth = np.array([np.random.default_rng(n).choice(4, p=row) for n, row in enumerate(proba)])
    panels = {
        name: evaluation.reliability(
            evaluation.scale(proba, temperature), truth, samples=100, seed=0
        )
        for name, temperature in (("before", 0.5), ("after", 1.0))
    }
    return figures.reliability_figure(panels, "Calibration\nprotocol song")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("protocol", "demo", "expected"),
    [
        ("song", False, "What\nprotocol song"),
        ("song", True, "What\nprotocol song, synthetic demo songs"),
        ("segment", False, "What\nprotocol segment, leaky, for comparison only"),
    ],
)
def test_a_heading_names_the_protocol_and_its_limits(
    protocol: str, demo: bool, expected: str
) -> None:
    assert figures.heading("What", protocol, demo=demo) == expected


@pytest.mark.parametrize("draw", [confusion, curves, genres, reliability])
def test_a_figure_is_written_to_the_same_bytes_every_time(draw: object, tmp_path: Path) -> None:
    assert callable(draw)
    for name in ("one.png", "two.png"):
        figures.save(draw(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert not picture.info.get("Software")
        assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("draw", [confusion, curves, genres, reliability])
def test_nothing_is_drawn_outside_the_picture(draw: object) -> None:
    assert callable(draw)
    figure = draw()
    figure.canvas.draw()
    needed, size = figure.get_tightbbox(), figure.get_size_inches()
    assert needed.x0 >= 0
    assert needed.y0 >= 0
    assert needed.x1 <= size[0]
    assert needed.y1 <= size[1]


def test_a_confusion_matrix_shows_counts_and_shares_and_darker_is_more() -> None:
    table = pd.DataFrame([[3, 1], [0, 4]], index=["jazz", "rock"], columns=["jazz", "rock"])
    figure = figures.confusion_figure(table, "Confusion")
    assert {"3\n75 %", "1\n25 %", "4\n100 %"} <= set(texts(figure))
    image = figure.axes[0].images[0]
    shades = image.cmap(image.norm(image.get_array()))[..., :3].sum(axis=-1)
    assert shades[1, 1] < shades[0, 0] < shades[0, 1] < shades[1, 0]


def test_with_many_genres_cells_show_counts_only() -> None:
    assert not any("\n" in text and "%" in text for text in texts(confusion(20)))


def test_curves_mark_the_epoch_that_was_kept() -> None:
    assert "kept (epoch 3)" in texts(curves())


def test_a_reliability_diagram_marks_points_outside_the_band() -> None:
    before, after = reliability().axes
    outside = [
        next(line for line in axes.lines if line.get_label() == "outside").get_xdata()
        for axes in (before, after)
    ]
    assert len(outside[0]) > len(outside[1])
    assert before.get_title().startswith("before\nerror ")
