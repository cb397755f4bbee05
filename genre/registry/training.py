"""The MLflow run of one training, open while the model trains.

It has the settings and the training curves, and ends as `FINISHED`, `FAILED` or, if it is
interrupted, `KILLED`. `genre.registry.record` later makes it a child of the pipeline's run, found
by the hash of the trained model; no file of the model depends on it. The run of a killed process is
ended by the next training or registration.

If the store cannot be used, the model is trained without a record, with a warning.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.core.errors import GenreError
from genre.core.params import Params
from genre.registry import facts, runs
from genre.registry.client import Store, open_experiment, open_store

if TYPE_CHECKING:
    from mlflow.entities import Metric

    from genre.models.base import Epoch

FLUSH_SECONDS = 2.0  # between two writes to the store
DESCRIPTION = "mlflow.note.content"


class TrainingRun:
    """The run of a training in progress; without a store, what is logged is dropped."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._store: Store | None = None
        self._run_id = ""
        self._metrics: list[Metric] = []
        self._written = time.monotonic()

    def log_epoch(self, rows: Sequence[Epoch]) -> None:
        """Log the losses and accuracies of an epoch."""
        if self._store is None:
            return
        for row in rows:
            values = {"loss": row.loss, "accuracy": row.accuracy}
            self._metrics += runs.epoch_metrics(row.epoch, row.subset, values)
        if time.monotonic() - self._written >= FLUSH_SECONDS:
            self._write()

    def finish(self, model: Path) -> None:
        """Close the run as finished, with the hash of the trained model in the folder `model`."""
        self._write(runs.FINISHED, {runs.MODEL_HASH: facts.folder_sha256(model)})

    def _write(self, status: str | None = None, tags: Mapping[str, str] | None = None) -> None:
        """Write the epochs that were logged, and close the run if `status` is given."""
        if (store := self._store) is None:
            return
        with self._or_warn(), store.writing():
            store.client.log_batch(self._run_id, self._metrics, tags=runs.tags(tags or {}))
            if status:
                store.client.set_terminated(self._run_id, status)
        self._metrics, self._written = [], time.monotonic()

    @contextmanager
    def _or_warn(self) -> Iterator[None]:
        """Warn if the store fails, and log nothing from then on."""
        try:
            yield
        except (GenreError, OSError) as error:
            self._store = None
            print(f"warning: {self._name} is trained without a record: {error}", file=sys.stderr)


@contextmanager
def training_run(
    params: Params,
    root: Path,
    name: str,
    settings: Mapping[str, Any],
    *,
    experiment: str | None = None,
) -> Iterator[TrainingRun]:
    """Record the training of the model `name` with these settings as a run in MLflow.

    `experiment` names the DVC experiment that it belongs to, if any. Call `finish` at the end; an
    exception in the body closes the run and is raised again.
    """
    run = TrainingRun(name)
    with run._or_warn():
        store = open_store(params.tracking, root)
        experiment_id = open_experiment(store, params.tracking.experiment).experiment_id
        tags = {runs.ROLE: runs.MODEL_ROLE, "model": name}
        if experiment:
            tags[runs.EXPERIMENT] = experiment
        with store.writing():
            runs.end_killed(store, experiment_id)
            run._run_id = runs.create(store, experiment_id, name, tags)
            store.client.log_batch(run._run_id, params=runs.params(facts.flatten(settings)))
        run._store = store
    try:
        yield run
    except Exception as error:
        run._write(runs.FAILED, {DESCRIPTION: str(error) or repr(error)})
        raise
    except BaseException:
        run._write(runs.KILLED)
        raise
