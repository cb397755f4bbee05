"""The MLflow run of one training, open while the model trains.

It holds the settings and a point on the curves for each epoch, and ends as `FINISHED`, `FAILED` or,
if it is interrupted, `KILLED`. `genre.registry.record` later makes it a child of the run of the
pipeline that the model belongs to, found by the hash of the trained model; no file of the model
depends on it. A run whose process was killed is closed by the next training or registration.

If the store cannot be used, the model is trained without a record, and a warning says so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.errors import GenreError
from genre.params import Params
from genre.registry import facts, runs
from genre.registry.store import Store, open_experiment, open_store

if TYPE_CHECKING:
    from mlflow.entities import Metric

    from genre.models.base import Epoch

FLUSH_SECONDS = 2.0  # between two writes to the store
DESCRIPTION = "mlflow.note.content"


class TrainingRun:
    """The run of a training in progress; without a store, what is logged is dropped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._store: Store | None = None
        self._run_id = ""
        self._metrics: list[Metric] = []
        self._flushed = time.monotonic()

    def start(
        self, params: Params, root: Path, settings: Mapping[str, Any], experiment: str | None
    ) -> None:
        """Open the store and the run."""
        store = open_store(params.tracking, root)
        where = open_experiment(store, params.tracking.experiment).experiment_id
        tags = {runs.ROLE: runs.MODEL_ROLE, "model": self.name}
        if experiment:
            tags[runs.EXPERIMENT] = experiment
        with store.writing():
            runs.end_killed(store, where)
            self._run_id = runs.create(store, where, self.name, tags)
            flat = runs.params(facts.flatten(settings))
            store.client.log_batch(self._run_id, params=flat)
        self._store = store

    def log_epoch(self, rows: Sequence[Epoch]) -> None:
        """Log the losses and accuracies of an epoch."""
        if self._store is None:
            return
        for row in rows:
            values = {"loss": row.loss, "accuracy": row.accuracy}
            self._metrics += runs.epoch_metrics(row.epoch, row.subset, values)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._write()

    def finish(self, model: Path) -> None:
        """Close the run as finished, with the hash of the trained model in the folder `model`."""
        self._write(runs.FINISHED, {runs.MODEL_HASH: facts.folder_sha256(model)})

    def fail(self, error: BaseException) -> None:
        """Close the run as failed, or as killed if the training was interrupted."""
        if isinstance(error, Exception):
            self._write(runs.FAILED, {DESCRIPTION: str(error) or repr(error)})
        else:
            self._write(runs.KILLED)

    def _write(self, status: str | None = None, tags: dict[str, str] | None = None) -> None:
        """Write the epochs that were logged, and close the run if `status` is given."""
        if (store := self._store) is None:
            return
        with self.or_warn(), store.writing():
            store.client.log_batch(self._run_id, self._metrics, tags=runs.tags(tags or {}))
            if status:
                store.client.set_terminated(self._run_id, status)
        self._metrics, self._flushed = [], time.monotonic()

    @contextmanager
    def or_warn(self) -> Iterator[None]:
        """Warn if the store fails, and log nothing from then on."""
        try:
            yield
        except (GenreError, OSError) as error:
            self._store = None
            print(f"warning: {self.name} is trained without a record: {error}", file=sys.stderr)


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
    with run.or_warn():
        run.start(params, root, settings, experiment)
    try:
        yield run
    except BaseException as error:
        run.fail(error)
        raise
