"""train: features and split → `models/<name>/`, one model a run: `python -m tasks.train mlp`.

Rows of `train` are learned from, rows of `validation` stop the training early; no other row is
handed to the model. Segments that are nothing but appended silence teach nothing and are left out.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genre.errors import InputError
from genre.models import make_model
from genre.models.base import Examples, Input
from genre.models.progress import training_progress
from genre.params import Params
from tasks import paths
from tasks.cli import step

if TYPE_CHECKING:
    import pandas as pd

FEATURES: dict[Input, Path] = {
    "features_3s": paths.FEATURES_3S,
    "features_30s": paths.FEATURES_30S,
}
KEYS = ("track_id", "genre", "segment", "start_s")  # columns that are no features
TRAIN, VALIDATION, EXCLUDED = "train", "validation", "excluded"


def run(params: Params, root: Path, name: str) -> str:
    """Train the model `name` and say how it does on the validation rows.

    Raises `ParameterError` for an unknown name, `InputError` where features and split are absent,
    do not belong together, hold values that are not finite, or leave a genre without a song to
    learn from or to validate on. `models/<name>` is then as it was.
    """
    model = make_model(name, params.train)
    rows = read_rows(root, model.input)
    train, validation = examples(rows, TRAIN), examples(rows, VALIDATION)
    check_genres({TRAIN: train, VALIDATION: validation})
    with training_progress(f"train {name}") as progress:
        history = model.fit(train, validation, seed=params.train.seed, progress=progress)
    model.save(root / paths.MODELS / name)
    hits = model.predict_proba(validation.X).argmax(axis=1) == validation.y
    epochs = f", epoch {history.best_epoch} of {history.rows[-1].epoch}" if history else ""
    return (
        f"{name}: {len(train)} rows learned, accuracy {hits.mean():.1%} on "
        f"{len(validation)} validation rows{epochs}"
    )


def read_rows(root: Path, source: Input) -> pd.DataFrame:
    """The features with their `group` and `subset`, in the order of the features' table.

    Songs of the split that have no features were lost on the way (unreadable since, said so by
    the step that lost them) and are named; when that is most of them, the files do not belong
    together. Raises `InputError` for that, and for features of songs that the split does not know.
    """
    features = _read(root / FEATURES[source], "features")
    split = _read(root / paths.SPLIT, "split")
    keys = ["track_id"] if split["segment"].isna().all() else ["track_id", "segment"]
    unknown = sorted(set(features["track_id"]) - set(split["track_id"]))
    if unknown:
        raise InputError(
            f"{root / paths.SPLIT}: {len(unknown)} songs of {FEATURES[source]} are missing, "
            f"{unknown[0]} first; run the step split again (dvc repro split)"
        )
    lost = sorted(set(split["track_id"]) - set(features["track_id"]))
    if 2 * len(lost) > split["track_id"].nunique():
        raise InputError(
            f"{root / FEATURES[source]}: {len(lost)} songs of {paths.SPLIT} are missing, "
            f"{lost[0]} first; run the step features again (dvc repro features)"
        )
    for track_id in lost:
        print(f"no features: {track_id} is left out")
    if keys == ["track_id"]:
        split = split.drop(columns="segment")
    rows = features.merge(split, on=keys, how="left", validate="many_to_one")
    if rows["subset"].isna().any():
        raise InputError(
            f"{root / paths.SPLIT}: not every segment of the features has a side; run the step "
            "split again (dvc repro split)"
        )
    silent = rows["rms_mean"] == 0
    return rows[~silent].reset_index(drop=True)


def examples(rows: pd.DataFrame, subset: str) -> Examples:
    """The rows of one subset; the classes are the genres that are not wholly excluded, sorted."""
    used = rows.loc[rows["subset"] != EXCLUDED, "genre"]
    classes = tuple(sorted(str(genre) for genre in used.unique()))
    features = tuple(str(name) for name in rows if name not in {*KEYS, "group", "subset"})
    chosen = rows[rows["subset"] == subset]
    numbers = {genre: number for number, genre in enumerate(classes)}
    return Examples(
        chosen[list(features)].to_numpy(dtype=np.float64),
        np.array([numbers[genre] for genre in chosen["genre"]], dtype=np.int64),
        chosen["group"].to_numpy(dtype=object),
        classes,
        features,
    )


def check_genres(subsets: dict[str, Examples]) -> None:
    """Raise `InputError` that names the genres which a subset lacks."""
    for subset, found in subsets.items():
        if absent := found.absent():
            raise InputError(
                f"{paths.SPLIT}: no {subset} song of {', '.join(absent)}; add songs of that "
                "genre (genre add), or draw the split afresh with another split.reseed"
            )


def _read(path: Path, stage: str) -> pd.DataFrame:
    import pandas as pd

    if not path.exists():
        raise InputError(f"{path}: not there; run the step {stage} first (dvc repro {stage})")
    return pd.read_parquet(path)


def main() -> None:
    """Run the step as `python -m tasks.train <name>`."""
    parser = argparse.ArgumentParser(prog="python -m tasks.train", description=__doc__)
    parser.add_argument("model", help="a name of train.models in params.yaml")
    sys.exit(step(partial(run, name=parser.parse_args().model)))


if __name__ == "__main__":
    main()
