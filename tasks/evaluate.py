"""evaluate: trained models → scores, predictions, plot data and figures below `reports/`.

Every trained model, the baseline among them, and the vote if there is one predict every segment of
the split; the figures are of the selected one, on test songs (on validation songs if there are no
test songs).
Test scores are reported and decide nothing: what is selected stands in `reports/selection.json`.

Songs by other artists, where there are any, are predicted too, as in the student report: see
`tasks.io.new_songs`.

`reports/metrics.json` holds everything, for programs; `reports/summary.json` the selected model's
song-level figures alone, for `dvc metrics show` and `dvc metrics diff`.
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
from genre.soft_voting import Mixture
from tasks.io import inputs, new_songs, paths, plots
from tasks.io.families import baseline
from tasks.io.step import step
from tasks.io.tables import read_held_out, read_split

if TYPE_CHECKING:
    import pandas as pd

    from genre.models.base import Input
    from genre.models.data import Data

METRICS = paths.REPORTS / "metrics.json"
SUMMARY = paths.REPORTS / "summary.json"
PREDICTIONS = paths.REPORTS / "predictions.parquet"
CALIBRATED = "at its temperatures"


def run(params: Params, root: Path) -> str:
    """Evaluate the models, write the reports, and say how good the selected one is.

    Raises `InputError` if a model, the features or the split are missing or do not belong together,
    or if the new songs cannot be evaluated.
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
                CALIBRATED: common(selected, candidates[selected], tables),
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
    curves = plots.read_curves(root, list(alone))
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
            name: {words: figures_of(found) for words, found in panels.items()}
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


def main() -> None:
    """Run the step as `python -m tasks.evaluate`."""
    sys.exit(step(run))


if __name__ == "__main__":
    main()
