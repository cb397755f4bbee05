"""Register a finished pipeline: record it, make a version, decide its alias, say what was done."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from genre.errors import RegistryError
from genre.promotion import CHAMPION, Decision, decide
from genre.registry import aliases, artifacts, card, facts, gate, package, runs, versions
from genre.registry.database import SQLITE
from genre.registry.facts import Pipeline
from genre.registry.faults import named_errors, quiet
from genre.registry.store import Store, experiment_id, locked, open_store
from genre.registry.versions import METRICS_HASH, MODEL_HASH, REASON, SETTLED

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL_ID, EXPERIMENT = "model_id", "dvc_experiment"
JUDGEMENTS = 5  # champions that may come and go, on a server, while one model is judged


def register(pipeline: Pipeline) -> dict[str, Any]:
    """Record and register `pipeline`; return the receipt.

    The same model gives one version, however often it is registered, and one run for each set of
    figures that it was given: what is found in the store is not made again, unless its files are no
    longer what they were. An experiment is
    recorded with its model and gets neither version nor alias. Raises `RegistryError` where the
    store fails, `InputError` where the pipeline has not finished.
    """
    tags = describe(pipeline)
    pipeline.must_be_whole()
    tracking = pipeline.params.tracking
    store = open_store(tracking, pipeline.root)
    experiment = experiment_id(store, tracking.experiment)
    name = pipeline.params.register_.name
    with named_errors(store.uri), locked(store.folder), quiet():
        version = None if pipeline.experiment else versions.find(store, name, tags)
        if version is not None and artifacts.loss(store, version):
            version = None
        if version is not None and version.tags.get(METRICS_HASH) == tags[METRICS_HASH]:
            run_id, model_id = str(version.run_id), version.tags[MODEL_ID]
        else:
            end_killed_runs(store, experiment)
            run_id, model_id = _recorded(store, experiment, tags) or _record(
                store, experiment, pipeline, tags
            )
        if pipeline.experiment:
            decision = _judge(store, None, None, pipeline)
            return _receipt(pipeline, tags, decision, run_id, model_id)
        if version is None:
            version = versions.create(
                store, name, model_id=model_id, run_id=run_id, tags=tags | {MODEL_ID: model_id}
            )
        number = str(version.version)
        aliases.finish(store, name)
        if SETTLED not in version.tags:
            _settle(store, version, pipeline)
            version = store.client.get_model_version(name, number)
        found = version.tags
        decision = Decision(versions.given_alias(version), found[REASON])
        receipt = _receipt(pipeline, tags, decision, run_id, model_id)
        held = aliases.held(store, name)
        return receipt | {
            "comparison": json.loads(found.get(versions.COMPARISON, "null")),
            "version": number,
            "aliases": sorted(alias for alias, holder in held.items() if holder == number),
            "champion": held.get(CHAMPION),
        }


def describe(pipeline: Pipeline) -> dict[str, str]:
    """The tags of a pipeline's run, logged model and version; they are what `models` shows."""
    report = pipeline.report
    subset, values = facts.headline(pipeline)
    low, high = values["ci95"]
    return {
        "model": pipeline.selected,
        MODEL_HASH: pipeline.model_sha256,
        METRICS_HASH: pipeline.metrics_sha256,
        "data_sha256": facts.data_sha256(pipeline.songs),
        "protocol": pipeline.protocol,
        "artist_leak": json.dumps(report["artist_leak"]),
        "genres": json.dumps(pipeline.genres),
        "subset": subset,
        "accuracy": json.dumps(values["accuracy"]),
        "accuracy_low": json.dumps(low),
        "accuracy_high": json.dumps(high),
        EXPERIMENT: pipeline.experiment or "",
        **{f"dvc/{path}": md5 for path, md5 in facts.dvc_hashes(pipeline.root).items()},
        **facts.git_state(pipeline.root),
    }


def end_killed_runs(store: Store, experiment: str) -> None:
    """Mark what a killed registration left running; the lock says that no other one is alive.

    Of a server we do not know that, so its runs are left alone.
    """
    if not store.uri.startswith(SQLITE):
        return
    left = store.client.search_runs([experiment], "attributes.status = 'RUNNING'")
    for run in left:
        if runs.ROLE in run.data.tags:
            store.client.set_terminated(run.info.run_id, "KILLED")


def _recorded(store: Store, experiment: str, tags: dict[str, str]) -> tuple[str, str] | None:
    """Run and logged model of an earlier registration of the same that got no version."""
    wanted = {key: tags[key] for key in (MODEL_HASH, METRICS_HASH, EXPERIMENT)}
    text = f"tags.{MODEL_HASH} = '{tags[MODEL_HASH]}' AND attributes.status = 'FINISHED'"
    for run in store.client.search_runs([experiment], text):
        found = run.data.tags
        if MODEL_ID not in found or not wanted.items() <= found.items():
            continue
        logged = store.client.get_logged_model(found[MODEL_ID])
        noted = artifacts.read(logged.tags.get(artifacts.FILES))
        if not artifacts.lost(store, logged.artifact_location, noted):
            return run.info.run_id, found[MODEL_ID]
    return None


def _record(
    store: Store, experiment: str, pipeline: Pipeline, tags: dict[str, str]
) -> tuple[str, str]:
    """Log the run, its models and the selected one's pyfunc; return the ids of run and model."""
    model_card = card.write(pipeline)
    run = runs.start(store, experiment, pipeline, tags | {runs.ROLE: runs.PIPELINE_ROLE})
    run_id = run.info.run_id
    try:
        store.client.log_text(run_id, model_card, package.MODEL_CARD)
        runs.log_trained(store, experiment, pipeline, run_id)
        model_id = _log_model(store, experiment, pipeline, run_id, tags, model_card)
        runs.log_results(store, run_id, pipeline, model_id)
        store.client.set_tag(run_id, MODEL_ID, model_id)
    except BaseException:
        store.client.set_terminated(run_id, "FAILED")
        raise
    store.client.set_terminated(run_id, "FINISHED")
    return run_id, model_id


def _log_model(
    store: Store,
    experiment: str,
    pipeline: Pipeline,
    run_id: str,
    tags: dict[str, str],
    model_card: str,
) -> str:
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
        noted = artifacts.note(artifacts.of_folder(folder))
        store.client.set_logged_model_tags(model_id, {artifacts.FILES: noted})
        store.client.log_model_artifacts(model_id, str(folder))
    store.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    store.client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    return model_id


def _settle(store: Store, version: ModelVersion, pipeline: Pipeline) -> None:
    """Decide about the version, and act on it if the champion is still the one it was judged by.

    Under the lock of a SQLite store it always is; on a server another machine may have moved it.
    """
    name = version.name
    for _ in range(JUDGEMENTS):
        holder = versions.holder(store, name, CHAMPION)
        decision = _judge(store, str(version.version), holder, pipeline)
        before = None if holder is None else str(holder.version)
        if aliases.held(store, name).get(CHAMPION) == before:
            versions.settle(store, version, decision)
            return
    raise RegistryError(
        f"tracking.uri {store.uri}: {name} got another champion {JUDGEMENTS} times while version "
        f"{version.version} was compared with it; run the step again"
    )


def _judge(
    store: Store, number: str | None, holder: ModelVersion | None, pipeline: Pipeline
) -> Decision:
    """Decide about the version `number`; a decision that was cut off is taken again."""
    if holder is not None and str(holder.version) == number:
        return Decision(CHAMPION, _reason(store, holder))
    settings = pipeline.params.register_
    return decide(
        protocol=pipeline.protocol,
        genres=pipeline.genres,
        champion=None if holder is None else gate.question(store, holder, pipeline),
        policy=settings.policy,
        margin=settings.margin,
        experiment=pipeline.experiment,
    )


def _reason(store: Store, champion: ModelVersion) -> str:
    """Why the champion holds its alias: its registration was cut off after it had got it."""
    changes = [c for c in aliases.history(store, champion.name) if c["version"] == champion.version]
    return str(changes[-1]["reason"]) if changes else "it holds the alias already"


def _receipt(
    pipeline: Pipeline, tags: dict[str, str], decision: Decision, run_id: str, model_id: str
) -> dict[str, Any]:
    return {
        "name": pipeline.params.register_.name,
        "version": None,
        "aliases": [],
        "champion": None,
        "decision": decision.alias or "recorded",
        "reason": decision.reason,
        "comparison": None,
        "experiment": pipeline.experiment,
        "model": pipeline.selected,
        MODEL_HASH: tags[MODEL_HASH],
        METRICS_HASH: tags[METRICS_HASH],
        "run_id": run_id,
        "model_id": model_id,
        "tracking_uri": pipeline.params.tracking.uri,
    }
