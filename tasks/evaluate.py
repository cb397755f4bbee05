"""evaluate: trained models → scores, predictions, plot data and figures below `reports/`.

Every trained model, the baseline among them, and the vote, if there is one, predict every segment
of the split. Figures are of the selected model on test songs, or on validation songs if there are
no test songs. Test scores decide nothing: the selection is in `reports/selection.json`.

New songs by other artists are predicted too, if there are any, as in the student report: see
`tasks.io.new_songs`.

`reports/metrics.json` has all scores; `reports/summary.json` only the selected model's song-level
scores, for `dvc metrics show` and `dvc metrics diff`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre import evaluation, splits
from genre.core.errors import InputError
from genre.core.files import write_json, write_parquet
from genre.core.messages import run_step
from genre.core.params import EvaluateParams, Params
from genre.evaluation.calibration import ROWS_PER_BIN
from genre.models import load_model
from genre.soft_voting import SoftVoting
from tasks.io import inputs, new_songs, paths, plots
from tasks.io.families import baseline
from tasks.io.step import step
from tasks.io.tables import read_out_of_fold, read_split

if TYPE_CHECKING:
    import pandas as pd

    from genre.models.base import Input
    from genre.models.data import Data

METRICS = paths.REPORTS / "metrics.json"
SUMMARY = paths.REPORTS / "summary.json"
PREDICTIONS = paths.REPORTS / "predictions.parquet"
CALIBRATED = "at its temperatures"


def run(params: Params, root: Path) -> str:
    """Evaluate the models, write the reports, and return a summary of the selected one.

    Raises `InputError` if a model, the features or the split are missing or do not fit together,
    or if the new songs cannot be evaluated.
    """
    import pandas as pd

    split = read_split(root)
    settings = params.evaluate
    selection = read_selection(root)
    selected, candidates = selection["selected"], selection["models"]
    single = predict(root, candidates, params)
    predictions = {name: combine(name, one, single) for name, one in candidates.items()}
    models = {
        name: evaluation.evaluate(table, samples=settings.bootstrap_samples, seed=settings.seed)
        for name, table in predictions.items()
    }
    protocol = split.attrs["settings"]["protocol"]
    write_parquet(root / PREDICTIONS, pd.concat(predictions.values(), ignore_index=True))
    subset = splits.TEST if splits.TEST in models[selected] else splits.VALIDATION
    out_of_fold = {name: read_out_of_fold(root, name) for name in single}
    calibration = {
        name: calibrate(
            {
                "as trained": combine(selected, as_trained(candidates[selected]), tables),
                CALIBRATED: combine(selected, candidates[selected], tables),
            },
            settings,
        )
        for name, tables in {
            "held_out": out_of_fold,
            subset: {name: of_subset(table, subset) for name, table in single.items()},
        }.items()
    }
    segments = of_subset(predictions[selected], subset)
    songs = evaluation.by_song(segments)
    curves = plots.read_curves(root, list(single))
    plots.write_tables(root, songs, curves)
    plots.draw(
        root,
        songs,
        curves,
        calibration,
        protocol=protocol,
        what=f"{selected}, {len(songs)} {subset} songs",
    )
    report = {
        "protocol": protocol,
        "artist_leak": split.attrs["artist_leak"],
        "models": models,
        "selected": selected,
        "baseline": baseline(params, root),
        "calibration": {
            name: {name: figures_of(found) for name, found in panels.items()}
            for name, panels in calibration.items()
        },
    }
    write_json(root / METRICS, report)
    write_json(root / SUMMARY, headline(report, subset))
    found = summary(selected, subset, models[selected][subset]["song"])
    return "; ".join(filter(None, [found, new_songs.run(params, root)]))


def headline(report: dict[str, Any], subset: str) -> dict[str, Any]:
    """The selected model's figures for the songs of `subset`, from `metrics.json`.

    `accuracy_low` and `accuracy_high` are the ends of its 95 % interval. `calibration_error` (the
    expected calibration error) is missing if there are too few songs to estimate it.
    """
    scores = report["models"][report["selected"]][subset]["song"]
    low, high = scores["ci95"]
    reliability = report["calibration"][subset].get(CALIBRATED)
    return {
        "model": report["selected"],
        "protocol": report["protocol"],
        "subset": subset,
        "songs": scores["n"],
        "accuracy": scores["accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        "f1_macro": scores["f1_macro"],
        **({"calibration_error": reliability["ece"]} if reliability else {}),
    }


def summary(model: str, subset: str, scores: dict[str, Any]) -> str:
    """The summary: the accuracy of the model with its interval."""
    low, high = scores["ci95"]
    return (
        f"{model}: {100 * scores['accuracy']:.1f} % of {scores['n']} {subset} songs right "
        f"(95 % interval {100 * low:.1f}–{100 * high:.1f})"
    )


def read_selection(root: Path) -> dict[str, Any]:
    """Read `reports/selection.json`; raises `InputError` if it is missing."""
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
        found[name] = data[model.input].predict(model, rows)
    return found


def combine(name: str, one: dict[str, Any], single: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The predictions of the candidate `name` from those of its members.

    `one` is its entry in `selection.json`, `single` the predictions of each model.
    """
    members = one["members"]
    voting = SoftVoting(
        tuple(part["temperature"] for part in members), tuple(part["weight"] for part in members)
    )
    tables = [single[part["name"]] for part in members]
    return evaluation.vote(tables, voting, name=name, temperature=one["temperature"])


def as_trained(one: dict[str, Any]) -> dict[str, Any]:
    """The candidate with all temperatures 1."""
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
    """The reliability of songs' probabilities in each of `tables` (segments of one candidate).

    Empty if there are too few songs for it.
    """
    songs = {name: evaluation.by_song(table) for name, table in tables.items()}
    if min(len(table) for table in songs.values()) < ROWS_PER_BIN:
        return {}
    return {
        name: evaluation.reliability(
            evaluation.probabilities(table),
            evaluation.truth(table),
            samples=settings.bootstrap_samples,
            seed=settings.seed,
        )
        for name, table in songs.items()
    }


def figures_of(found: evaluation.Reliability) -> dict[str, Any]:
    """The entry of a reliability in `metrics.json`; see `genre.evaluation.Reliability`."""
    return {
        "ece": round(found.ece, 6),
        "ece_debiased": round(found.ece_debiased, 6),
        "ece_chance": round(found.ece_chance, 6),
        "consistent": bool(found.consistent),
        "n": int(found.bins["n"].sum()),
    }


def main() -> None:
    """Run the step as `python -m tasks.evaluate`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
