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

from genre.registry import datasets, facts
from genre.registry.database import SQLITE
from genre.registry.facts import Pipeline
from genre.registry.locks import nobody_trains
from genre.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

Item = TypeVar("Item")

METRICS_TOGETHER, PARAMS_TOGETHER = 1000, 100  # MLflow's limits of one request
PARENT = "mlflow.parentRunId"
ROLE, PIPELINE_ROLE, MODEL_ROLE = "role", "pipeline", "model"
EXPERIMENT, MODEL_HASH = "dvc_experiment", "model_sha256"
INTERVAL = "ci95"
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"


def start(store: Store, experiment: str, pipeline: Pipeline, tags: dict[str, str]) -> Run:
    """Begin the pipeline's run: parameters, datasets, catalogue, figures, files."""
    name = pipeline.experiment or f"{pipeline.selected} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    hashes = {f"dvc/{path}": md5 for path, md5 in facts.dvc_hashes(pipeline.root).items()}
    tags = {**tags, **hashes, **_git_tags(tags)}
    run = store.client.create_run(experiment, tags=tags, run_name=name)
    run_id = run.info.run_id
    log(store, run_id, params=facts.flatten(pipeline.params.model_dump(mode="json", by_alias=True)))
    summary = facts.summarise(pipeline.songs)
    store.client.log_dict(run_id, summary, "catalogue.json")
    store.client.log_inputs(run_id, datasets=datasets.inputs(pipeline))
    counts = {f"catalogue/{key}": summary[key] for key in ("songs", "set_aside", "hours")}
    log(store, run_id, metrics=_metrics(counts))
    if pipeline.figures.is_dir():
        store.client.log_artifacts(run_id, str(pipeline.figures), "figures")
    for path in (pipeline.root / facts.LOCK_FILE, pipeline.root / "params.yaml", pipeline.metrics):
        if path.is_file():
            store.client.log_artifact(run_id, str(path))
    return run


def log_results(store: Store, run_id: str, pipeline: Pipeline, model_id: str) -> None:
    """Log the selected model's figures with the run and with the logged model."""
    report = pipeline.report["models"][pipeline.selected]
    metrics: list[Metric] = []
    for subset, digest in datasets.digests(pipeline).items():
        values = dict(flatten_metrics({subset: report.get(subset, {})}))
        metrics += _metrics(
            values, model_id=model_id, dataset_name=datasets.NAME, dataset_digest=digest
        )
    log(store, run_id, metrics=metrics)


def log_trained(store: Store, experiment: str, pipeline: Pipeline, parent: str) -> None:
    """Log every trained model as a run inside `parent`: settings, curves, figures.

    It is the run that was open while the model trained, if there is one without a parent.
    """
    for name, results in sorted(pipeline.report["models"].items()):
        tags = {PARENT: parent, ROLE: MODEL_ROLE, "model": name, "protocol": pipeline.protocol}
        tags["selected"] = "true" if name == pipeline.selected else "false"
        metrics = _metrics(dict(flatten_metrics(results)))
        if run_id := _training(store, experiment, pipeline, name):
            log(store, run_id, metrics=metrics, tags=tags)
            continue
        run_id = store.client.create_run(experiment, tags=tags, run_name=name).info.run_id
        metrics += _curves(pipeline, name)
        params = facts.flatten(pipeline.settings(name))
        log(store, run_id, params=params, metrics=metrics)
        store.client.set_terminated(run_id, FINISHED)


def end_killed(store: Store, experiment: str) -> None:
    """Mark what a killed registration or training left running; call with the store's lock held.

    The lock says that no other registration is alive, a second one whether a training is. Of a
    server we do not know that, so its runs are left alone.
    """
    if not store.uri.startswith(SQLITE):
        return
    roles = {PIPELINE_ROLE, MODEL_ROLE} if nobody_trains(store.folder) else {PIPELINE_ROLE}
    for run in store.client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if run.data.tags.get(ROLE) in roles:
            store.client.set_terminated(run.info.run_id, KILLED)


def _training(store: Store, experiment: str, pipeline: Pipeline, name: str) -> str | None:
    """The id of the run in which a model was trained that belongs to no pipeline's run yet.

    None for a vote, for a model from DVC's cache, and for one trained without this store.
    """
    folder = pipeline.models / name
    if not folder.is_dir():
        return None
    same = f"tags.{MODEL_HASH} = '{facts.folder_sha256(folder)}' AND tags.{ROLE} = '{MODEL_ROLE}'"
    for run in store.client.search_runs([experiment], f"{same} AND status = '{FINISHED}'"):
        tags = run.data.tags
        if PARENT not in tags and tags.get(EXPERIMENT) == pipeline.experiment:
            return str(run.info.run_id)
    return None


def epoch_metrics(epoch: int, subset: str, values: dict[str, Any]) -> list[Metric]:
    """A point of the curves of `subset`."""
    return _metrics({f"epochs/{subset}_{key}": v for key, v in values.items()}, step=epoch)


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
            metrics += epoch_metrics(epoch, subset, {key: v for key, v in row.items() if v})
    return metrics


def _metrics(values: dict[str, Any], *, step: int = 0, **about: str) -> list[Metric]:
    """Metrics of now; `about` names the model and dataset that they are of."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(key, float(v), now, step, **about) for key, v in values.items()]


def log(
    store: Store,
    run_id: str,
    *,
    params: dict[str, str] | None = None,
    metrics: Sequence[Metric] = (),
    tags: dict[str, str] | None = None,
) -> None:
    """Log with few requests."""
    from mlflow.entities import Param, RunTag

    for some in _batches(metrics, METRICS_TOGETHER):
        store.client.log_batch(run_id, metrics=some)
    for few in _batches((params or {}).items(), PARAMS_TOGETHER):
        store.client.log_batch(run_id, params=[Param(key, value) for key, value in few])
    if tags:
        store.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _git_tags(tags: dict[str, str]) -> dict[str, str]:
    """The commit under the name by which MLflow's own pages show it."""
    commit = tags.get("git_commit")
    return {"mlflow.source.git.commit": commit} if commit else {}
