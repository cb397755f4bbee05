"""The plots of the step evaluate: tables for `dvc plots`, and figures as PNG files.

They show the selected model's songs, and the training curves of every network.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from genre import evaluation, figures
from genre.core.files import atomic_folder, write_text
from genre.models.serialization import CURVES, read_description
from tasks.io import paths
from tasks.io.tables import is_demo

if TYPE_CHECKING:
    import pandas as pd

PLOTS = paths.REPORTS / "plots"
FIGURES = paths.REPORTS / "figures"


def write_tables(root: Path, songs: pd.DataFrame, curves: dict[str, pd.DataFrame]) -> None:
    """Write the tables for `dvc plots`: confusion of songs, scores by genre, training curves.

    Tables of curves are wide (`loss_train`, …), because DVC draws one line per column.
    """
    import pandas as pd

    pairs = {"actual": songs["genre"], "predicted": evaluation.predicted(songs)}
    counts = evaluation.confusion(songs)
    with atomic_folder(root / PLOTS) as folder:
        tables = {
            "confusion": pd.DataFrame(pairs),
            "genres": evaluation.per_genre(songs),
            "most_confused": evaluation.most_confused(counts),
        }
        for name, history in curves.items():
            wide = history.pivot(index="epoch", columns="subset", values=["loss", "accuracy"])
            wide.columns = pd.Index(["_".join(names) for names in wide.columns])
            tables[f"curves_{name}"] = wide.reset_index()
        for name, table in tables.items():
            write_text(folder / f"{name}.csv", table.to_csv(index=False))


def draw(
    root: Path,
    songs: pd.DataFrame,
    curves: dict[str, pd.DataFrame],
    calibration: dict[str, dict[str, evaluation.Reliability]],
    *,
    protocol: str,
    what: str,
) -> None:
    """Draw the selected model's confusion, genres and calibration, and every network's curves."""
    demo = is_demo(root)

    def title(what: str) -> str:
        return figures.heading(what, protocol, demo=demo)

    with atomic_folder(root / FIGURES) as folder:
        counts = evaluation.confusion(songs)
        figure = figures.confusion_figure(counts, title(f"Confusion of genres: {what}"))
        figures.save(figure, folder / "confusion.png")
        table = evaluation.per_genre(songs)
        figure = figures.genres_figure(table, title(f"Scores by genre: {what}"))
        figures.save(figure, folder / "genres.png")
        for name, panels in calibration.items():
            if panels:
                shown = f"Calibration: {name.replace('_', '-')} songs"
                figure = figures.reliability_figure(panels, title(shown))
                figures.save(figure, folder / f"calibration_{name}.png")
        for name, history in curves.items():
            best = read_description(root / paths.MODELS / name).best_epoch
            shown = title(f"Training of {name}, by segment")
            figure = figures.curves_figure(history, shown, best_epoch=best)
            figures.save(figure, folder / f"curves_{name}.png")


def read_curves(root: Path, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The training curves of the networks among these models, by name."""
    import pandas as pd

    paths_of = {str(name): root / paths.MODELS / name / CURVES for name in names}
    return {name: pd.read_csv(path) for name, path in paths_of.items() if path.is_file()}
