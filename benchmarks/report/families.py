"""Compare combinations of feature families under splits that keep songs together.

Every model on features is fitted to `train` and scored on `validation` and `test`, and by
out-of-fold predictions on train and validation, which the pipeline selects by. Soft voting of the
models is scored, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report.measure import split_into
from genre import evaluation, splits
from genre.core.params import Params
from genre.models import make_model
from genre.models.base import Model
from genre.models.folds import predict_out_of_fold
from tasks import features
from tasks.io import inputs, paths

COMBINATIONS: tuple[tuple[str, ...], ...] = (
    ("report",),
    ("extended",),
    ("musicnn",),
    ("report", "extended"),
    ("report", "musicnn"),
    ("extended", "musicnn"),  # `auto` for real songs
    ("report", "extended", "musicnn"),
)
MODELS = ("mlp", "lda", "logistic", "svm")


@dataclass(frozen=True)
class FamilyResult:
    """The scores of a model (or soft voting) for a combination of families and a protocol.

    `seconds` to fit it, without folds; `bytes` of its files; `columns`: number of inputs;
    `held_out` are song-level scores like those in `scores`.
    """

    families: list[str]
    protocol: str
    genres: list[str]
    model: str
    columns: int
    seconds: float
    bytes: int
    held_out: dict[str, Any]
    scores: dict[str, Any]


def prepare(root: Path, params: Params) -> None:
    """Compute every family of the songs at `root`."""
    print(f"features: {features.run(choose(params, COMBINATIONS[-1]), root)}", flush=True)


def choose(params: Params, families: Sequence[str]) -> Params:
    """Return the parameters with these families."""
    chosen = params.features.model_copy(update={"families": list(families)})
    return params.model_copy(update={"features": chosen})


def measure(root: Path, params: Params, genres: Sequence[str]) -> Iterator[FamilyResult]:
    """Yield the result of each combination under each protocol.

    `predefined` needs `genres`: those with training and validation songs in the column
    `split.column` of the manifest.
    """
    every = sorted(set(pd.read_parquet(root / paths.CATALOGUE)["genre"]))
    rounds: list[tuple[str, list[str]]] = [("song", every)]
    if genres:
        rounds.append(("predefined", sorted(genres)))
    for protocol, among in rounds:
        split_into(root, params, protocol, sorted(set(every) - set(among)))
        for families in COMBINATIONS:
            yield from one(root, choose(params, families), protocol, among)


def one(root: Path, params: Params, protocol: str, genres: list[str]) -> Iterator[FamilyResult]:
    """Score every model and soft voting, for the families of `params` and the split at `root`."""
    families = params.features.families
    data = inputs.read_data(root, "features_3s", params)
    everything = np.ones(len(data.keys), dtype=np.bool_)
    predictions, out_of_fold, seconds, sizes = {}, {}, {}, {}
    for name in MODELS:
        model = make_model(name, params.train)
        start = time.monotonic()
        model.fit(
            data.training_examples(data.mask(splits.TRAIN)),
            data.training_examples(data.mask(splits.VALIDATION)),
            seed=params.train.seed,
        )
        seconds[name], sizes[name] = time.monotonic() - start, size(model)
        predictions[name] = data.predict(model, everything)
        out_of_fold[name] = predict_out_of_fold(
            partial(make_model, name, params.train),
            data,
            data.mask(splits.TRAIN, splits.VALIDATION),
            folds=params.train.folds,
            seed=params.train.seed,
        )
    settings = params.evaluate
    found = evaluation.candidates(
        out_of_fold, vote=True, samples=settings.bootstrap_samples, seed=settings.seed
    )
    chosen = evaluation.select(found).name
    for candidate in found:
        table = evaluation.vote(
            [predictions[name] for name in candidate.members],
            candidate.voting,
            name=candidate.name,
            temperature=candidate.temperature,
        )
        scores = evaluation.evaluate(table, samples=settings.bootstrap_samples, seed=settings.seed)
        print(
            f"{protocol} {len(genres)} genres {'+'.join(families)} {candidate.name}"
            f"{' (chosen)' if candidate.name == chosen else ''}: held out "
            f"{candidate.scores['accuracy']:.3f}, validation "
            f"{scores[splits.VALIDATION]['song']['accuracy']:.3f}",
            flush=True,
        )
        yield FamilyResult(
            families=list(families),
            protocol=protocol,
            genres=genres,
            model=candidate.name,
            columns=data.inputs(everything).shape[1],
            seconds=round(sum(seconds[name] for name in candidate.members), 2),
            bytes=sum(sizes[name] for name in candidate.members),
            held_out=candidate.scores,
            scores={subset: levels["song"] for subset, levels in scores.items()},
        )


def size(model: Model) -> int:
    """Return the size of the model's files in bytes."""
    with TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
