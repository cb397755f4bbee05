"""MLflow runs and their metrics; runs of killed processes are ended.

Metric names are `<subset>_<level>/<metric>`, with `_low` and `_high` for the ends of the 95 %
interval, and `epochs/<subset>_<metric>` for the curves (step: the epoch).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from genre.registry.client import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, RunTag

ROLE, PIPELINE_ROLE, MODEL_ROLE = "role", "pipeline", "model"
PROCESS = "process"  # the tag that names the process of a run: id, start time, host
EXPERIMENT, MODEL_HASH = "dvc_experiment", "model_sha256"
INTERVAL = "ci95"
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
CLOCK_SECONDS = 60  # tolerance for the start time of a process


def create(store: Store, experiment: str, name: str, tags: dict[str, str]) -> str:
    """Create a run that belongs to this process; return its id."""
    import psutil

    started = psutil.Process().create_time()
    process = f"{os.getpid()} {started:.0f} {socket.gethostname()}"
    run = store.client.create_run(experiment, tags=tags | {PROCESS: process}, run_name=name)
    return str(run.info.run_id)


def end_killed(store: Store, experiment: str) -> None:
    """Mark runs as killed if their process on this machine has ended."""
    for run in store.client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if ROLE in run.data.tags and not is_alive(run.data.tags.get(PROCESS, "")):
            store.client.set_terminated(run.info.run_id, KILLED)


def is_alive(process: str) -> bool:
    """Whether the process in a tag is running; True for processes of other machines."""
    import psutil

    try:
        number, started, host = process.split(" ", 2)
        if host != socket.gethostname():
            return True
        found = psutil.Process(int(number))
        is_same = abs(found.create_time() - float(started)) < CLOCK_SECONDS
        return is_same and found.status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.NoSuchProcess):  # no such tag: a run of an older version
        return False


def params(values: Mapping[str, str]) -> list[Param]:
    """Parameters for `MlflowClient.log_batch`."""
    from mlflow.entities import Param

    return [Param(key, value) for key, value in values.items()]


def tags(values: Mapping[str, str]) -> list[RunTag]:
    """Tags for `MlflowClient.log_batch`."""
    from mlflow.entities import RunTag

    return [RunTag(key, value) for key, value in values.items()]


def metrics(values: Mapping[str, float], *, step: int = 0, **about: str) -> list[Metric]:
    """Metrics with the current time for `log_batch`; `about` names their model and dataset."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(key, float(value), now, step, **about) for key, value in values.items()]


def epoch_metrics(epoch: int, subset: str, values: Mapping[str, Any]) -> list[Metric]:
    """A point on the training curves of `subset`."""
    return metrics({f"epochs/{subset}_{key}": v for key, v in values.items()}, step=epoch)


def flatten_metrics(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """`{subset: {level: {metric: value}}}` of `metrics.json` as `(name, value)` pairs.

    `ci95` is the interval of the accuracy, `<metric>_ci95` that of another metric.
    """
    for subset, levels in results.items():
        for level, values in levels.items():
            for metric, value in values.items():
                name = f"{subset}_{level}/{metric}"
                if not metric.endswith(INTERVAL):
                    yield name, float(value)
                    continue
                of = metric.removesuffix(INTERVAL).rstrip("_") or "accuracy"
                for end, bound in zip(("low", "high"), value, strict=True):
                    yield f"{subset}_{level}/{of}_{end}", float(bound)
