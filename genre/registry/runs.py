"""The record of one finished pipeline: an MLflow run, and in it one for each trained model.

Metric names are `<subset>_<level>/<metric>`, with `_low` and `_high` for the ends of the 95 %
interval, and `epochs/<subset>_<metric>` for the curves (step: the epoch).
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from genre.registry import facts
from genre.registry.facts import Pipeline
from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

Item = TypeVar("Item")

METRICS_TOGETHER, PARAMS_TOGETHER = 1000, 100  # MLflow's limits of one request
PARENT = "mlflow.parentRunId"
ROLE, PIPELINE_ROLE, MODEL_ROLE = "role", "pipeline", "model"
INTERVAL = "ci95"
FINISHED, FAILED = "FINISHED", "FAILED"


def start(store: Store, experiment: str, pipeline: Pipeline, tags: dict[str, str]) -> Run:
    """Begin the pipeline's run: parameters, catalogue, figures, files."""
    name = pipeline.experiment or f"{pipeline.selected} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    run = store.client.create_run(experiment, tags={**tags, **_git_tags(tags)}, run_name=name)
    run_id = run.info.run_id
    _log(
        store, run_id, params=facts.flatten(pipeline.params.model_dump(mode="json", by_alias=True))
    )
    summary = facts.summarise(pipeline.songs)
    store.client.log_dict(run_id, summary, "catalogue.json")
    counts = {f"catalogue/{key}": summary[key] for key in ("songs", "set_aside", "hours")}
    _log(store, run_id, metrics=_metrics(counts))
    if pipeline.figures.is_dir():
        store.client.log_artifacts(run_id, str(pipeline.figures), "figures")
    for path in (pipeline.root / facts.LOCK_FILE, pipeline.root / "params.yaml", pipeline.metrics):
        if path.is_file():
            store.client.log_artifact(run_id, str(path))
    return run


def log_results(store: Store, run_id: str, pipeline: Pipeline, model_id: str) -> None:
    """Log the selected model's figures with the run and with the logged model."""
    values = dict(flatten_metrics(pipeline.report["models"][pipeline.selected]))
    _log(store, run_id, metrics=_metrics(values, model_id=model_id))


def log_trained(store: Store, experiment: str, pipeline: Pipeline, parent: str) -> None:
    """Log every trained model as a run inside `parent`: settings, curves, figures."""
    for name, results in sorted(pipeline.report["models"].items()):
        tags = {PARENT: parent, ROLE: MODEL_ROLE, "model": name, "protocol": pipeline.protocol}
        tags["selected"] = "true" if name == pipeline.selected else "false"
        run_id = store.client.create_run(experiment, tags=tags, run_name=name).info.run_id
        metrics = _metrics(dict(flatten_metrics(results)))
        metrics += _curves(pipeline, name)
        params = facts.flatten(pipeline.settings(name))
        _log(store, run_id, params=params, metrics=metrics)
        store.client.set_terminated(run_id, FINISHED)


def flatten_metrics(results: dict[str, Any]) -> Iterator[tuple[str, float]]:
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


def _curves(pipeline: Pipeline, name: str) -> list[Metric]:
    """The per-epoch metrics of a network; none for families that do not train in epochs."""
    path = pipeline.models / name / facts.HISTORY
    if not path.is_file():
        return []
    metrics: list[Metric] = []
    with path.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            epoch, subset = int(row.pop("epoch")), row.pop("subset")
            values = {f"epochs/{subset}_{key}": float(value) for key, value in row.items() if value}
            metrics += _metrics(values, step=epoch)
    return metrics


def _metrics(values: dict[str, Any], *, step: int = 0, model_id: str | None = None) -> list[Metric]:
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(key, float(v), now, step, model_id=model_id) for key, v in values.items()]


def _log(
    store: Store,
    run_id: str,
    *,
    params: dict[str, str] | None = None,
    metrics: Sequence[Metric] = (),
) -> None:
    from mlflow.entities import Param

    for some in _batches(metrics, METRICS_TOGETHER):
        store.client.log_batch(run_id, metrics=some)
    for few in _batches((params or {}).items(), PARAMS_TOGETHER):
        store.client.log_batch(run_id, params=[Param(key, value) for key, value in few])


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _git_tags(tags: dict[str, str]) -> dict[str, str]:
    """The commit under the name by which MLflow's own pages show it."""
    commit = tags.get("git_commit")
    return {"mlflow.source.git.commit": commit} if commit else {}
