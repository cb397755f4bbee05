"""The MLflow run of one training, open while the model trains.

It holds the settings and a point on the curves for each epoch, and ends as `FINISHED`, `FAILED` or,
if it is interrupted, `KILLED`. `genre.registry.runs.log_trained` later makes it a child of the run
of the pipeline that the model belongs to, found by the hash of the trained model. Nothing of it is
in the files of the model.

A training that was killed leaves its run open; the next one, or the next registration, closes it
(`genre.registry.runs.end_killed`). While a training is alive it shares a lock beside the store, by
which others know that its run is not to be closed.

A store that cannot be used costs no training: one line says so, and nothing more is logged.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.errors import GenreError
from genre.params import Params
from genre.registry import facts, runs
from genre.registry.faults import named_errors, quiet
from genre.registry.locks import locked, trainings
from genre.registry.store import Store, open_experiment, open_store

if TYPE_CHECKING:
    from mlflow.entities import Metric

    from genre.models.base import Epoch

FLUSH_SECONDS = 2.0  # between writes of what was logged
DESCRIPTION = "mlflow.note.content"


class TrainingRun:
    """The run of a training that is under way; without a store, what is logged is dropped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._store: Store | None = None
        self._run_id = ""
        self._metrics: list[Metric] = []
        self._flushed = time.monotonic()

    def start(
        self,
        params: Params,
        root: Path,
        settings: Mapping[str, Any],
        experiment: str | None,
        alive: ExitStack,
    ) -> None:
        """Open the store and the run; `alive` keeps the lock that says so until it is closed."""
        store = open_store(params.tracking, root)
        where = open_experiment(store, params.tracking.experiment)
        tags = {runs.ROLE: runs.MODEL_ROLE, "model": self.name}
        if experiment:
            tags[runs.EXPERIMENT] = experiment
        with named_errors(store.uri), locked(store.folder), quiet():
            runs.end_killed(store, where.experiment_id)
            alive.enter_context(trainings(store.folder))
            run = store.client.create_run(where.experiment_id, tags=tags, run_name=self.name)
            runs.log(store, run.info.run_id, params=facts.flatten(settings))
        self._store, self._run_id = store, run.info.run_id

    def log_epoch(self, rows: Sequence[Epoch]) -> None:
        """Log the losses and accuracies of an epoch."""
        if self._store is None:
            return
        for row in rows:
            values = {"loss": row.loss, "accuracy": row.accuracy}
            self._metrics += runs.epoch_metrics(row.epoch, row.subset, values)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._write(lambda _: None)

    def finish(self, model: Path) -> None:
        """Close the run as finished, with the hash of the trained model in the folder `model`."""

        def close(store: Store) -> None:
            store.client.set_tag(self._run_id, runs.MODEL_HASH, facts.folder_sha256(model))
            store.client.set_terminated(self._run_id, runs.FINISHED)

        self._write(close)

    def fail(self, error: BaseException) -> None:
        """Close the run as failed, or as killed if the training was interrupted."""
        failed = isinstance(error, Exception)

        def close(store: Store) -> None:
            if failed:
                store.client.set_tag(self._run_id, DESCRIPTION, str(error) or repr(error))
            store.client.set_terminated(self._run_id, runs.FAILED if failed else runs.KILLED)

        self._write(close)

    def _write(self, more: Callable[[Store], None]) -> None:
        """Write the epochs that were logged, and `more`."""
        if (store := self._store) is None:
            return
        with self.or_warn(), named_errors(store.uri), locked(store.folder), quiet():
            runs.log(store, self._run_id, metrics=self._metrics)
            more(store)
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

    `experiment` names the DVC experiment that it belongs to, if any. Call `finish` at the end; what
    the body raises closes the run and is raised.
    """
    run = TrainingRun(name)
    with ExitStack() as alive:
        with run.or_warn():
            run.start(params, root, settings, experiment, alive)
        try:
            yield run
        except BaseException as error:
            run.fail(error)
            raise
