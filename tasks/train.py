"""train: features, pictures and split → `models/<name>/`, for one model: `tasks.train mlp`.

The model is trained on rows of `train`, with early stopping on rows of `validation` if it has any.
The out-of-fold predictions for the songs of train and validation (see `genre.models.folds`) are
saved beside it, as `held_out.parquet`. Rows of test are not used.

The training is a run in MLflow, with its curves. No file of the model depends on that run, so it is
not in `dvc.yaml`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from genre import evaluation
from genre.core.files import atomic_folder, write_parquet
from genre.core.params import Params
from genre.core.progress import progress_bar
from genre.core.workers import core_count
from genre.models import make_model
from genre.models.base import Epoch
from genre.models.folds import predict_out_of_fold
from genre.registry.training import training_run
from genre.splits import TRAIN, VALIDATION
from tasks.io import inputs, paths
from tasks.io.families import is_trained
from tasks.io.step import step

SHORT_SECONDS = 5.0  # for shorter trainings, processes for the folds would not pay


def recorded(params: Params, root: Path, name: str) -> str:
    """As `run`, with the training as a run in MLflow (see `genre.registry.training`)."""
    if not is_trained(name, params, root):
        return run(params, root, name)
    settings = make_model(name, params.train).settings.model_dump(mode="json")
    experiment = os.environ.get("DVC_EXP_NAME") or None
    with training_run(params, root, name, settings, experiment=experiment) as record:
        summary = run(params, root, name, record.log_epoch)
        record.finish(root / paths.MODELS / name)
    return summary


def run(
    params: Params,
    root: Path,
    name: str,
    log_epoch: Callable[[Sequence[Epoch]], None] | None = None,
) -> str:
    """Train the model `name`; return a summary with its out-of-fold accuracy.

    `log_epoch` is called with the points on the training curves of each epoch of a network. The
    baseline is not trained, and its folder is empty, if `mlp` is the same network on the same
    columns.

    Raises `ParameterError` for an unknown name; `InputError` if features or split are missing or do
    not fit together, values are not finite, or a genre has no song in train or validation. Then
    `models/<name>` is not changed.
    """
    model = make_model(name, params.train)
    if not is_trained(name, params, root):
        with atomic_folder(root / paths.MODELS / name):
            pass
        return f"{name}: skipped: the only feature family is report, so it would be the same as mlp"
    data = inputs.read_data(root, model.input, params)
    inputs.check_genres(data)
    settings = params.train
    with progress_bar(name) as progress:

        def report(done: int, total: int, message: str, rows: Sequence[Epoch] = ()) -> None:
            progress(done, total, message)
            if log_epoch:
                log_epoch(rows)

        start = time.process_time()
        history = model.fit(
            data.training_examples(data.mask(TRAIN)),
            data.training_examples(data.mask(VALIDATION)),
            seed=settings.seed,
            progress=report,
        )
        is_short = time.process_time() - start < SHORT_SECONDS
    with progress_bar(name) as progress:
        out_of_fold = predict_out_of_fold(
            partial(make_model, name, settings),
            data,
            data.mask(TRAIN, VALIDATION),
            folds=settings.folds,
            seed=settings.seed,
            workers=1 if is_short else params.compute.workers or core_count(),
            progress=progress,
        )
    model.save(
        root / paths.MODELS / name,
        beside={paths.HELD_OUT.name: partial(write_parquet, table=out_of_fold)},
    )
    songs = evaluation.by_song(out_of_fold)
    hits = evaluation.predicted(songs) == songs["genre"]
    last = history.rows[-1].epoch if history else 0
    epochs = f" (best epoch {history.best_epoch} of {last})" if history else ""
    return (
        f"{name}: trained on {data.mask(TRAIN).sum()} segments{epochs}; out-of-fold accuracy "
        f"{100 * hits.mean():.1f} % ({len(songs)} songs)"
    )


def main() -> None:
    """Run the step as `python -m tasks.train <name>`."""
    parser = argparse.ArgumentParser(prog="python -m tasks.train", description=__doc__)
    parser.add_argument("model", help="a name of train.models in params.yaml")
    sys.exit(step(partial(recorded, name=parser.parse_args().model)))


if __name__ == "__main__":
    main()
