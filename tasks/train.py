"""train: features, pictures and split → `models/<name>/`, one model a run: `tasks.train mlp`.

Rows of `train` are learned from, rows of `validation` stop a training early where it does. Beside
the model lies `held_out.parquet`: what models of its kind, each trained without one fold of the
songs of train and validation, say about that fold (see `genre.models.folds`). Rows of test are
handed to no model here.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from genre import evaluation
from genre.files import atomic_folder, write_parquet
from genre.models import family, make_model
from genre.models.folds import predict_out_of_fold
from genre.models.progress import training_progress
from genre.params import BASELINE, Params
from genre.splits import TRAIN, VALIDATION
from tasks import inputs, paths
from tasks.cli import step
from tasks.families import is_trained, read_families


def run(params: Params, root: Path, name: str) -> str:
    """Train the model `name` and say how it does on songs that it has not learned from.

    Raises `ParameterError` for an unknown name, `InputError` where features and split are absent,
    do not belong together, hold values that are not finite, or leave a genre without a song to
    learn from or to validate on. `models/<name>` is then as it was. The baseline is not trained,
    and its folder is left empty, if `mlp` is the same network on the same columns.
    """
    model = make_model(name, params.train)
    if name == BASELINE and not is_trained(name, read_families(params, root)):
        with atomic_folder(root / paths.MODELS / name):
            pass
        return f"{name}: not trained again: the only feature family is report, so it would be mlp"
    data = inputs.read_data(root, model.input, params)
    inputs.check_genres(data)
    settings = params.train
    with training_progress(f"train {name}") as progress:
        history = model.fit(
            data.learn(data.mask(TRAIN)),
            data.learn(data.mask(VALIDATION)),
            seed=settings.seed,
            progress=progress,
        )
    with training_progress(f"hold out {name}") as progress:
        held_out = predict_out_of_fold(
            partial(make_model, name, settings),
            data,
            data.mask(TRAIN, VALIDATION),
            folds=settings.folds,
            seed=settings.seed,
            workers=workers(params, name),
            progress=progress,
        )
    model.save(
        root / paths.MODELS / name,
        beside={paths.HELD_OUT.name: partial(write_parquet, table=held_out)},
    )
    songs = evaluation.by_song(held_out)
    hits = evaluation.predicted(songs) == songs["genre"]
    epochs = f", epoch {history.best_epoch} of {history.rows[-1].epoch}" if history else ""
    learned = int(data.mask(TRAIN).sum())
    return (
        f"{name}: {learned} segments learned{epochs}; {100 * hits.mean():.1f} % of {len(songs)} "
        "held-out songs right"
    )


def workers(params: Params, name: str) -> int:
    """How many processes share the folds: one where a model trains in less than they need."""
    if not family(name).slow:
        return 1
    return params.compute.workers or os.cpu_count() or 1


def main() -> None:
    """Run the step as `python -m tasks.train <name>`."""
    parser = argparse.ArgumentParser(prog="python -m tasks.train", description=__doc__)
    parser.add_argument("model", help="a name of train.models in params.yaml")
    sys.exit(step(partial(run, name=parser.parse_args().model)))


if __name__ == "__main__":
    main()
