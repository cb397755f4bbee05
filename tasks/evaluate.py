"""evaluate: trained models → scores, predictions, plot data and figures below `reports/`.

Every trained model, the baseline among them, and the vote if there is one predict every segment of
the split; the figures are of the selected one, on test songs (on validation songs if there are no
test songs).
Test scores are reported and decide nothing: what is selected stands in `reports/selection.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre import evaluation, figures, splits
from genre.errors import InputError
from genre.evaluation.calibration import ROWS_PER_BIN
from genre.files import atomic_folder, write_json, write_parquet, write_text
from genre.hints import run_step
from genre.models import load_model
from genre.models.mixing import Mixture
from genre.models.store import CURVES, read_description
from genre.params import EvaluateParams, Params
from tasks import inputs, paths
from tasks.cli import step
from tasks.families import baseline, read_families
from tasks.tables import is_demo, read_held_out, read_split

if TYPE_CHECKING:
    import pandas as pd

    from genre.models.base import Input
    from genre.models.data import Data

METRICS = paths.REPORTS / "metrics.json"
PREDICTIONS = paths.REPORTS / "predictions.parquet"
PLOTS = paths.REPORTS / "plots"
FIGURES = paths.REPORTS / "figures"


def run(params: Params, root: Path) -> str:
    """Evaluate the models, write the reports, and say how good the selected one is.

    Raises `InputError` where a model, the features or the split are missing or do not belong
    together. What was in `reports/` is then as it was.
    """
    import pandas as pd

    split = read_split(root)
    settings = params.evaluate
    selection = read_selection(root)
    selected, candidates = selection["selected"], selection["models"]
    alone = predict(root, candidates, params)
    predictions = {name: common(name, one, alone) for name, one in candidates.items()}
    models = {
        name: evaluation.evaluate(table, samples=settings.bootstrap_samples, seed=settings.seed)
        for name, table in predictions.items()
    }
    protocol = split.attrs["settings"]["protocol"]
    write_parquet(root / PREDICTIONS, pd.concat(predictions.values(), ignore_index=True))
    subset = splits.TEST if splits.TEST in models[selected] else splits.VALIDATION
    held_out = {name: read_held_out(root, name) for name in alone}
    calibration = {
        name: calibrate(
            {
                "as trained": common(selected, as_trained(candidates[selected]), tables),
                "at its temperatures": common(selected, candidates[selected], tables),
            },
            settings,
        )
        for name, tables in {
            "held_out": held_out,
            subset: {name: of_subset(table, subset) for name, table in alone.items()},
        }.items()
    }
    segments = of_subset(predictions[selected], subset)
    songs = evaluation.by_song(segments)
    histories = {name: read_curves(root / paths.MODELS / name) for name in alone}
    curves = {name: table for name, table in histories.items() if table is not None}
    write_plots(root / PLOTS, songs, curves)
    draw(
        root,
        songs,
        curves,
        calibration,
        protocol=protocol,
        what=f"{selected}, {len(songs)} {subset} songs",
    )
    write_json(
        root / METRICS,
        {
            "protocol": protocol,
            "artist_leak": split.attrs["artist_leak"],
            "models": models,
            "selected": selected,
            "baseline": baseline(params, read_families(params, root)),
            "calibration": {
                name: {words: figures_of(found) for words, found in panels.items()}
                for name, panels in calibration.items()
            },
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


def read_selection(root: Path) -> dict[str, Any]:
    """What the step select decided; `InputError` where it has not run."""
    path = root / paths.SELECTION
    if not path.is_file():
        raise InputError(f"{path}: no such file; {run_step('select')}")
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def predict(root: Path, models: dict[str, Any], params: Params) -> dict[str, pd.DataFrame]:
    """The predictions of each model that is a candidate or a member of one, for all rows."""
    data: dict[Input, Data] = {}
    found: dict[str, pd.DataFrame] = {}
    for name in sorted({part["name"] for one in models.values() for part in one["members"]}):
        model = load_model(root / paths.MODELS / name)
        if model.input not in data:
            data[model.input] = inputs.read_data(root, model.input, params)
        rows = np.ones(len(data[model.input].keys), dtype=np.bool_)
        found[name] = data[model.input].answer(model, rows)
    return found


def common(name: str, one: dict[str, Any], alone: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What the candidate `name`, as `selection.json` describes it, makes of its members' words."""
    members = one["members"]
    mixture = Mixture(
        tuple(part["temperature"] for part in members), tuple(part["weight"] for part in members)
    )
    tables = [alone[part["name"]] for part in members]
    return evaluation.vote(tables, mixture, name=name, temperature=one["temperature"])


def as_trained(one: dict[str, Any]) -> dict[str, Any]:
    """The candidate without any temperature."""
    return {
        "members": [{**part, "temperature": 1.0} for part in one["members"]],
        "temperature": 1.0,
    }


def of_subset(table: pd.DataFrame, subset: str) -> pd.DataFrame:
    """The rows of one subset."""
    return table[table["subset"] == subset]


def calibrate(
    tables: dict[str, pd.DataFrame], settings: EvaluateParams
) -> dict[str, evaluation.Reliability]:
    """How reliable songs' probabilities are in each of `tables` (segments of one candidate).

    Empty for fewer songs than reliability can be told of.
    """
    songs = {words: evaluation.by_song(table) for words, table in tables.items()}
    if min(len(table) for table in songs.values()) < ROWS_PER_BIN:
        return {}
    return {
        words: evaluation.reliability(
            evaluation.probabilities(table),
            evaluation.truth(table),
            samples=settings.bootstrap_samples,
            seed=settings.seed,
        )
        for words, table in songs.items()
    }


def figures_of(found: evaluation.Reliability) -> dict[str, Any]:
    """What `metrics.json` says of a reliability; see `genre.evaluation.Reliability`."""
    return {
        "ece": round(found.ece, 6),
        "ece_debiased": round(found.ece_debiased, 6),
        "ece_chance": round(found.ece_chance, 6),
        "consistent": bool(found.consistent),
        "n": int(found.bins["n"].sum()),
    }


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

    def title(words: str) -> str:
        return figures.heading(words, protocol, demo=demo)

    with atomic_folder(root / FIGURES) as folder:
        counts = evaluation.confusion(songs)
        figure = figures.confusion_figure(counts, title(f"Confusion of genres: {what}"))
        figures.save(figure, folder / "confusion.png")
        table = evaluation.per_genre(songs)
        figure = figures.genres_figure(table, title(f"Scores by genre: {what}"))
        figures.save(figure, folder / "genres.png")
        for name, panels in calibration.items():
            if panels:
                words = f"Are the probabilities true? {name.replace('_', '-')} songs"
                figure = figures.reliability_figure(panels, title(words))
                figures.save(figure, folder / f"calibration_{name}.png")
        for name, history in curves.items():
            best = read_description(root / paths.MODELS / name).best_epoch
            words = title(f"Training of {name}, by segment")
            figure = figures.curves_figure(history, words, best_epoch=best)
            figures.save(figure, folder / f"curves_{name}.png")


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
