"""Record a finished pipeline: its run, a child run for each trained model, and the logged model.

The songs of each subset are datasets of the run. They list songs and not features, so their digests
do not depend on what is computed from the songs.
"""

from __future__ import annotations

import csv
import json
import time
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from genre.registry import card, facts, package, runs
from genre.registry.client import Store, retry_once
from genre.registry.facts import Pipeline
from genre.registry.lookup import FILES, checksums, verify_at
from genre.registry.runs import EXPERIMENT, FAILED, FINISHED, MODEL_HASH, ROLE
from genre.splits import SUBSETS

if TYPE_CHECKING:
    from mlflow.data.pandas_dataset import PandasDataset
    from mlflow.entities import LoggedModel, Metric

METRICS_HASH = "metrics_sha256"  # a tag
PARENT = "mlflow.parentRunId"
CONTEXT = "mlflow.data.context"  # the tag of a dataset in which MLflow's pages expect the subset
COLUMNS = ["track_id", "path", "genre", "artist", "seconds", "sha256"]  # of a dataset
DIGEST_LENGTH = 16  # hex digits; MLflow takes up to 36 characters


def describe(pipeline: Pipeline) -> dict[str, str]:
    """The tags of a pipeline's run, logged model and version; `genre models` shows some of them."""
    subset, values = pipeline.headline()
    low, high = values["ci95"]
    return {
        "model": pipeline.selected,
        MODEL_HASH: facts.folder_sha256(pipeline.classifier),
        METRICS_HASH: sha256(facts.read(pipeline.metrics)).hexdigest(),
        "data_sha256": facts.data_sha256(pipeline.songs),
        "protocol": pipeline.protocol,
        "artist_leak": ", ".join(pipeline.report["artist_leak"]) or "none",
        "genres": ", ".join(pipeline.described.classes),
        "families": ", ".join(pipeline.described.families),
        "subset": subset,
        "accuracy": json.dumps(values["accuracy"]),
        "accuracy_low": json.dumps(low),
        "accuracy_high": json.dumps(high),
        **({EXPERIMENT: pipeline.experiment} if pipeline.experiment else {}),
        **facts.git_state(pipeline.root),
    }


def find(
    store: Store, experiment: str, tags: dict[str, str], *, verified: bool
) -> tuple[str, LoggedModel] | None:
    """The run with these tags, and its logged model; None if MLflow does not have them.

    Also None if `verified` is set and the model's files are not those that were logged.
    """
    same = [f"tags.{key} = '{tags[key]}'" for key in (MODEL_HASH, METRICS_HASH)]
    text = " AND ".join([*same, f"attributes.status = '{FINISHED}'"])
    for run in store.client.search_runs([experiment], text):
        if run.data.tags.get(EXPERIMENT) != tags.get(EXPERIMENT):
            continue
        run_id = str(run.info.run_id)
        for logged in store.client.search_logged_models(
            [experiment], f"source_run_id = '{run_id}'"
        ):
            files = logged.tags.get(FILES)
            if not verified or not verify_at(store, logged.artifact_location, files):
                return run_id, logged
    return None


def create(
    store: Store, experiment: str, pipeline: Pipeline, tags: dict[str, str]
) -> tuple[str, LoggedModel]:
    """Log the run, its models and the selected one's pyfunc; return the run's id and the pyfunc."""
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
        logged = _log_model(store, experiment, pipeline, run_id, tags, model_card)
        report = pipeline.report["models"][pipeline.selected]
        metrics: list[Metric] = []
        for subset, dataset in datasets.items():
            metrics += runs.metrics(
                dict(runs.flatten_metrics({subset: report.get(subset, {})})),
                model_id=logged.model_id,
                dataset_name=dataset.name,
                dataset_digest=dataset.digest,
            )
        store.client.log_batch(run_id, metrics=metrics)
    except BaseException:
        store.client.set_terminated(run_id, FAILED)
        raise
    store.client.set_terminated(run_id, FINISHED)
    return run_id, logged


def _log_pipeline(
    store: Store, run_id: str, pipeline: Pipeline, datasets: dict[str, PandasDataset]
) -> None:
    """Log parameters, datasets, catalogue, figures, files."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    summary = facts.summarise(pipeline.songs)
    counts = {f"catalogue/{key}": summary[key] for key in ("songs", "set_aside", "hours")}
    settings = facts.flatten(pipeline.params.model_dump(mode="json", by_alias=True))
    store.client.log_batch(run_id, runs.metrics(counts), runs.params(settings))
    inputs = [
        DatasetInput(Dataset(**dataset.to_dict()), [InputTag(CONTEXT, subset)])
        for subset, dataset in datasets.items()
    ]
    retry_once(store.client.log_inputs, run_id, datasets=inputs)
    store.client.log_dict(run_id, summary, "catalogue.json")
    if pipeline.figures.is_dir():
        store.client.log_artifacts(run_id, str(pipeline.figures), "figures")
    for path in (pipeline.root / "dvc.lock", pipeline.root / "params.yaml", pipeline.metrics):
        if path.is_file():
            store.client.log_artifact(run_id, str(path))


def _log_trained(store: Store, experiment: str, pipeline: Pipeline, parent: str) -> None:
    """Log every trained model as a run inside `parent`: settings, curves, figures.

    It is the run in which the model was trained, if there is one without a parent.
    """
    for name, results in sorted(pipeline.report["models"].items()):
        tags = {PARENT: parent, ROLE: runs.MODEL_ROLE, "model": name, "protocol": pipeline.protocol}
        tags["selected"] = "true" if name == pipeline.selected else "false"
        metrics = runs.metrics(dict(runs.flatten_metrics(results)))
        if run_id := _training(store, experiment, pipeline, name):
            store.client.log_batch(run_id, metrics, tags=runs.tags(tags))
            continue
        run_id = runs.create(store, experiment, name, tags)
        metrics += _curves(pipeline.models / name / facts.HISTORY)
        settings = facts.flatten(pipeline.settings(name))
        store.client.log_batch(run_id, metrics, runs.params(settings))
        store.client.set_terminated(run_id, FINISHED)


def _training(store: Store, experiment: str, pipeline: Pipeline, name: str) -> str | None:
    """The id of the run in which a model was trained, if it has no parent run yet.

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
) -> LoggedModel:
    """Log the selected model as a pyfunc, with the checksums of its files."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    client, name = store.client, pipeline.params.register_.name.replace(".", "-")
    logged = client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=tags)
    number = str(logged.model_id)
    described = Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=number)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pyfunc"
        package.save(pipeline, folder, described, model_card)
        client.set_logged_model_tags(number, {FILES: checksums(folder)})
        client.log_model_artifacts(number, str(folder))
    client.log_outputs(run_id, [LoggedModelOutput(number, step=0)])
    client.finalize_logged_model(number, LoggedModelStatus.READY)
    return client.get_logged_model(number)


def _datasets(pipeline: Pipeline) -> dict[str, PandasDataset]:
    """The songs of each subset that is not empty."""
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
