"""evaluate: trained models → scores, predictions, plot data and figures below `reports/`.

Every model of `train.models` answers every segment of the split; the best on validation songs is
selected, and the figures are of that one, on test songs (on validation songs where there are no
test songs). Test scores are reported and decide nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre import evaluation, figures, splits
from genre.errors import InputError
from genre.files import atomic_folder, write_json, write_parquet, write_text
from genre.models import load_model
from genre.models.store import CURVES, read_description
from genre.params import Params
from tasks import paths
from tasks.cli import step
from tasks.tables import read_songs
from tasks.train import read_rows

if TYPE_CHECKING:
    import pandas as pd

    from genre.models.base import Input

METRICS = paths.REPORTS / "metrics.json"
PREDICTIONS = paths.REPORTS / "predictions.parquet"
PLOTS = paths.REPORTS / "plots"
FIGURES = paths.REPORTS / "figures"
DEMO = "synthetic demo song"  # how the catalogue's `source` begins for demo songs


def run(params: Params, root: Path) -> str:
    """Evaluate the models, write the reports, and say how good the selected one is.

    Raises `InputError` where a model, the features or the split are missing or do not belong
    together. What was in `reports/` is then as it was.
    """
    import pandas as pd

    split = read_split(root)
    settings: dict[str, Any] = {
        "samples": params.evaluate.bootstrap_samples,
        "seed": params.evaluate.seed,
    }
    predictions = predict(root, params.train.models)
    models = {name: evaluation.evaluate(table, **settings) for name, table in predictions.items()}
    selected = evaluation.select(models)
    protocol = split.attrs["settings"]["protocol"]
    write_parquet(root / PREDICTIONS, pd.concat(predictions.values(), ignore_index=True))
    subset = splits.TEST if splits.TEST in models[selected] else splits.VALIDATION
    songs = evaluation.by_song(predictions[selected])
    songs = songs[songs["subset"] == subset]
    histories = {name: read_curves(root / paths.MODELS / name) for name in models}
    curves = {name: table for name, table in histories.items() if table is not None}
    write_plots(root / PLOTS, songs, curves)
    draw(root, songs, curves, protocol=protocol, what=f"{selected}, {len(songs)} {subset} songs")
    write_json(
        root / METRICS,
        {
            "protocol": protocol,
            "artist_leak": split.attrs["artist_leak"],
            "models": models,
            "selected": selected,
        },
    )
    return summary(selected, subset, models[selected][subset]["song"])


def summary(model: str, subset: str, scores: dict[str, Any]) -> str:
    """One line for a person: how many songs the model gets right, and how sure that is."""
    low, high = scores["ci95"]
    return (
        f"{model}: {100 * scores['accuracy']:.1f} % of {scores['n']} {subset} songs right "
        f"(95 % interval {100 * low:.1f}–{100 * high:.1f})"
    )


def predict(root: Path, models: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The predictions of each model for every segment that is not excluded."""
    rows: dict[Input, pd.DataFrame] = {}
    found = {}
    for name in models:
        model = load_model(root / paths.MODELS / name)
        if model.input not in rows:
            table = read_rows(root, model.input)
            rows[model.input] = table[table["subset"] != splits.EXCLUDED]
        table = rows[model.input]
        if missing := [column for column in model.features if column not in table.columns]:
            raise InputError(
                f"{root / paths.MODELS / name}: was trained on features that are not there "
                f"({', '.join(missing[:5])}); train it again (dvc repro train)"
            )
        X = table[list(model.features)].to_numpy(dtype=np.float64)
        found[name] = evaluation.make(table, model.predict_proba(X), model.classes, name)
    return found


def write_plots(folder: Path, songs: pd.DataFrame, curves: dict[str, pd.DataFrame]) -> None:
    """Write what DVC draws: the confusion of songs, scores by genre, a table of curves a network.

    Tables of curves are wide (`loss_train`, …), as DVC draws a line a column.
    """
    import pandas as pd

    pairs = {"actual": songs["genre"], "predicted": evaluation.predicted(songs)}
    counts = evaluation.confusion(songs)
    with atomic_folder(folder) as plots:
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
            write_text(plots / f"{name}.csv", table.to_csv(index=False))


def draw(
    root: Path, songs: pd.DataFrame, curves: dict[str, pd.DataFrame], *, protocol: str, what: str
) -> None:
    """Draw the selected model's confusion matrix and genres, and every network's curves."""
    sources = read_songs(root)["source"]
    demo = bool(sources.str.startswith(DEMO).fillna(False).any())

    def title(words: str) -> str:
        return figures.heading(words, protocol, demo=demo)

    with atomic_folder(root / FIGURES) as folder:
        counts = evaluation.confusion(songs)
        figure = figures.confusion_figure(counts, title(f"Confusion of genres: {what}"))
        figures.save(figure, folder / "confusion.png")
        table = evaluation.per_genre(songs)
        figure = figures.genres_figure(table, title(f"Scores by genre: {what}"))
        figures.save(figure, folder / "genres.png")
        for name, history in curves.items():
            best = read_description(root / paths.MODELS / name).best_epoch
            words = title(f"Training of {name}, by segment")
            figure = figures.curves_figure(history, words, best_epoch=best)
            figures.save(figure, folder / f"curves_{name}.png")


def read_split(root: Path) -> pd.DataFrame:
    """The split with what it was made with in its `attrs`."""
    import pandas as pd

    path = root / paths.SPLIT
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the step split first (dvc repro split)")
    table = pd.read_parquet(path)
    if "settings" not in table.attrs:
        raise InputError(
            f"{path}: does not say which protocol it was made with; run the step split again "
            "(dvc repro --force split)"
        )
    return table


def read_curves(folder: Path) -> pd.DataFrame | None:
    """The curves of a network's training, null for a model without any."""
    import pandas as pd

    path = folder / CURVES
    return pd.read_csv(path) if path.is_file() else None


def main() -> None:
    """Run the step as `python -m tasks.evaluate`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
