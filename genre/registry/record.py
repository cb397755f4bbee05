"""The record of a finished pipeline: its run, one in it for each trained model, and the model.

The songs of each subset are datasets of the run. They list songs and not features, so that their
digests are the same whatever is computed from the songs.
"""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from genre.errors import UnusableStoreError
from genre.registry import card, facts, package, runs
from genre.registry.facts import Pipeline
from genre.registry.lookup import FILES, checksums, verify_at
from genre.registry.runs import EXPERIMENT, FAILED, FINISHED, MODEL_HASH, ROLE
from genre.registry.store import Store, moved
from genre.splits import SUBSETS

if TYPE_CHECKING:
    from mlflow.data.pandas_dataset import PandasDataset
    from mlflow.entities import Experiment, Metric

METRICS_HASH, MODEL_ID = "metrics_sha256", "model_id"  # tags
PARENT = "mlflow.parentRunId"
CONTEXT = "mlflow.data.context"  # the tag of a dataset in which MLflow's pages expect the subset
COLUMNS = ["track_id", "path", "genre", "artist", "seconds", "sha256"]  # of a dataset
DIGEST_LENGTH = 16  # hex digits; MLflow takes up to 36 characters


def describe(pipeline: Pipeline) -> dict[str, str]:
    """The tags of a pipeline's run, logged model and version; `genre models` shows some of them."""
    subset, values = facts.headline(pipeline)
    low, high = values["ci95"]
    return {
        "model": pipeline.selected,
        MODEL_HASH: pipeline.model_sha256,
        METRICS_HASH: pipeline.metrics_sha256,
        "data_sha256": facts.data_sha256(pipeline.songs),
        "protocol": pipeline.protocol,
        "artist_leak": ", ".join(pipeline.report["artist_leak"]) or "none",
        "genres": ", ".join(pipeline.genres),
        "families": ", ".join(pipeline.families),
        "subset": subset,
        "accuracy": json.dumps(values["accuracy"]),
        "accuracy_low": json.dumps(low),
        "accuracy_high": json.dumps(high),
        **({EXPERIMENT: pipeline.experiment} if pipeline.experiment else {}),
        **facts.git_state(pipeline.root),
    }


def find(store: Store, experiment: str, tags: dict[str, str]) -> tuple[str, str] | None:
    """The ids of the run and logged model with these tags whose files are as logged, if any."""
    same = [f"tags.{key} = '{tags[key]}'" for key in (MODEL_HASH, METRICS_HASH)]
    text = " AND ".join([*same, f"attributes.status = '{FINISHED}'"])
    for run in store.client.search_runs([experiment], text):
        model_id = run.data.tags.get(MODEL_ID)
        if model_id and run.data.tags.get(EXPERIMENT) == tags.get(EXPERIMENT):
            logged = store.client.get_logged_model(model_id)
            if not verify_at(store, logged.artifact_location, logged.tags.get(FILES)):
                return str(run.info.run_id), model_id
    return None


def create(
    store: Store, where: Experiment, pipeline: Pipeline, tags: dict[str, str]
) -> tuple[str, str]:
    """Log the run, its models and the selected one's pyfunc; return the ids of run and model."""
    if problem := moved(store, where.artifact_location):
        raise UnusableStoreError(problem)
    experiment = str(where.experiment_id)
    name = pipeline.experiment or f"{pipeline.selected} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    more = {ROLE: runs.PIPELINE_ROLE}
    if "git_commit" in tags:  # under this name MLflow's own pages show it
        more["mlflow.source.git.commit"] = tags["git_commit"]
    run_id = runs.create(store, experiment, name, tags | more)
    try:
        datasets = _datasets(pipeline)
        model_card = card.write(pipeline)
        _log_pipeline(store, run_id, pipeline, datasets)
        store.client.log_text(run_id, model_card, package.MODEL_CARD)
        _log_trained(store, experiment, pipeline, run_id)
        model_id = _log_model(store, experiment, pipeline, run_id, tags, model_card)
        report = pipeline.report["models"][pipeline.selected]
        metrics: list[Metric] = []
        for subset, dataset in datasets.items():
            values = dict(runs.flatten_metrics({subset: report.get(subset, {})}))
            metrics += runs.metrics(
                values, model_id=model_id, dataset_name=dataset.name, dataset_digest=dataset.digest
            )
        runs.log(store, run_id, metrics=metrics, tags={MODEL_ID: model_id})
    except BaseException:
        store.client.set_terminated(run_id, FAILED)
        raise
    store.client.set_terminated(run_id, FINISHED)
    return run_id, model_id


def _log_pipeline(
    store: Store, run_id: str, pipeline: Pipeline, datasets: dict[str, PandasDataset]
) -> None:
    """Log parameters, datasets, catalogue, figures, files."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    summary = facts.summarise(pipeline.songs)
    runs.log(
        store,
        run_id,
        params=facts.flatten(pipeline.params.model_dump(mode="json", by_alias=True)),
        metrics=runs.metrics(
            {f"catalogue/{key}": summary[key] for key in ("songs", "set_aside", "hours")}
        ),
    )
    inputs = [
        DatasetInput(Dataset(**dataset.to_dict()), [InputTag(CONTEXT, subset)])
        for subset, dataset in datasets.items()
    ]
    store.client.log_inputs(run_id, datasets=inputs)
    store.client.log_dict(run_id, summary, "catalogue.json")
    if pipeline.figures.is_dir():
        store.client.log_artifacts(run_id, str(pipeline.figures), "figures")
    for path in (pipeline.root / "dvc.lock", pipeline.root / "params.yaml", pipeline.metrics):
        if path.is_file():
            store.client.log_artifact(run_id, str(path))


def _log_trained(store: Store, experiment: str, pipeline: Pipeline, parent: str) -> None:
    """Log every trained model as a run inside `parent`: settings, curves, figures.

    It is the run that was open while the model trained, if there is one without a parent.
    """
    for name, results in sorted(pipeline.report["models"].items()):
        tags = {PARENT: parent, ROLE: runs.MODEL_ROLE, "model": name, "protocol": pipeline.protocol}
        tags["selected"] = "true" if name == pipeline.selected else "false"
        metrics = runs.metrics(dict(runs.flatten_metrics(results)))
        if run_id := _training(store, experiment, pipeline, name):
            runs.log(store, run_id, metrics=metrics, tags=tags)
            continue
        run_id = runs.create(store, experiment, name, tags)
        metrics += _curves(pipeline.models / name / facts.HISTORY)
        runs.log(store, run_id, params=facts.flatten(pipeline.settings(name)), metrics=metrics)
        store.client.set_terminated(run_id, FINISHED)


def _training(store: Store, experiment: str, pipeline: Pipeline, name: str) -> str | None:
    """The id of the run in which a model was trained that belongs to no pipeline's run yet.

    None for a vote, for a model from DVC's cache, and for one trained without this store.
    """
    folder = pipeline.models / name
    if not folder.is_dir():
        return None
    same = f"tags.{MODEL_HASH} = '{facts.folder_sha256(folder)}'"
    text = f"{same} AND tags.{ROLE} = '{runs.MODEL_ROLE}' AND status = '{FINISHED}'"
    for run in store.client.search_runs([experiment], text):
        tags = run.data.tags
        if PARENT not in tags and tags.get(EXPERIMENT) == pipeline.experiment:
            return str(run.info.run_id)
    return None


def _curves(path: Path) -> list[Metric]:
    """The metrics of each epoch; none for a model that is not trained in epochs."""
    metrics: list[Metric] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                epoch, subset = int(row.pop("epoch")), row.pop("subset")
                values = {key: value for key, value in row.items() if value}
                metrics += runs.epoch_metrics(epoch, subset, values)
    return metrics


def _log_model(
    store: Store,
    experiment: str,
    pipeline: Pipeline,
    run_id: str,
    tags: dict[str, str],
    model_card: str,
) -> str:
    """Log the selected model as a pyfunc, with the checksums of its files; return its id."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    name = pipeline.params.register_.name
    logged = store.client.create_logged_model(
        experiment, name=name.replace(".", "-"), source_run_id=run_id, tags=tags
    )
    model_id = str(logged.model_id)
    described = Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=model_id)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pyfunc"
        package.save(pipeline, folder, described, model_card)
        store.client.set_logged_model_tags(model_id, {FILES: checksums(folder)})
        store.client.log_model_artifacts(model_id, str(folder))
    store.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    store.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    return model_id


def _datasets(pipeline: Pipeline) -> dict[str, PandasDataset]:
    """The songs of each subset that has any."""
    from mlflow.data.pandas_dataset import from_pandas

    found: dict[str, Any] = {}
    for subset in SUBSETS:
        placed = pipeline.subsets.loc[pipeline.subsets["subset"] == subset, "track_id"]
        songs = pipeline.songs[pipeline.songs["track_id"].isin(placed)]
        if len(songs):
            found[subset] = from_pandas(
                songs[COLUMNS].sort_values("track_id", ignore_index=True),
                source=str(pipeline.catalogue.absolute()),
                targets="genre",
                name="songs",
                digest=facts.data_sha256(songs)[:DIGEST_LENGTH],
            )
    return found
